"""Pooling in torch, whose layers take symmetric padding of at most half a kernel."""

from netspec.graph import Node
from netspec.lowering.python.source import LiteralValue, call
from netspec.ops import AdaptiveAvgPool2d, AvgPool2d, GlobalAvgPool2d, MaxPool2d
from netspec.ops.pooling import Pool2d
from netspec_torch.geometry import height_and_width, pad, pair
from netspec_torch.table import lowers
from netspec_torch.writer import ModuleWriter


@lowers(MaxPool2d)
def max_pool2d(op: MaxPool2d, node: Node, out: ModuleWriter) -> None:
    """`nn.MaxPool2d`, after an `F.pad` with -inf, overhang included, where it does not support the padding."""
    (x,) = out.inputs(node)
    if out.all_instances(node, _is_supported):
        layer = out.declare(node, "nn.MaxPool2d", **_geometry(op))
    else:
        down, right = op.overhang(node.input_types[0])
        x = pad(node, out, x, op.explicit_padding, more=(down, right), value=call("float", "-inf"))
        layer = out.declare(node, "nn.MaxPool2d", **_window(op))
    out.assign(node, call(layer, x))


@lowers(AvgPool2d)
def avg_pool2d(op: AvgPool2d, node: Node, out: ModuleWriter) -> None:
    """`nn.AvgPool2d`, whose divisor by default includes the padding but not an overhang of the last window.

    Unsupported padding becomes an `F.pad` if the divisor is always the whole window, else our `PaddedAvgPool2d`.
    """
    (x,) = out.inputs(node)
    area = op.kernel_size.height * op.kernel_size.width
    down, right = op.overhang(node.input_types[0])
    if out.all_instances(node, _is_supported):
        divisor: dict[str, LiteralValue] = {}
        if op.divisor == "valid_only" and op.explicit_padding:
            divisor["count_include_pad"] = False
        elif op.divisor == "window" and (down or right):
            divisor["divisor_override"] = area
        layer = out.declare(node, "nn.AvgPool2d", **_geometry(op), **divisor)
    elif op.divisor == "window" or (op.divisor == "window_in_padded" and not (down or right)):
        x = pad(node, out, x, op.explicit_padding, more=(down, right))
        layer = out.declare(node, "nn.AvgPool2d", **_window(op))
    else:
        out.support("avg_pool2d")
        p = op.explicit_padding
        optional: dict[str, LiteralValue] = {"overhang": (right, down)} if down or right else {}
        if op.divisor == "valid_only":
            optional["count_include_pad"] = False
        sizes = {"kernel_size": pair(op.kernel_size), "stride": pair(op.effective_stride)}
        layer = out.declare(node, "PaddedAvgPool2d", **sizes, padding=(p.left, p.right, p.top, p.bottom), **optional)
    out.assign(node, call(layer, x))


@lowers(GlobalAvgPool2d)
def global_avg_pool2d(op: GlobalAvgPool2d, node: Node, out: ModuleWriter) -> None:
    """`torch.mean` over the last two axes."""
    keep: dict[str, LiteralValue] = {"keepdim": True} if op.keepdims else {}
    out.assign(node, call("torch.mean", *out.inputs(node), dim=(2, 3), **keep))


@lowers(AdaptiveAvgPool2d)
def adaptive_avg_pool2d(op: AdaptiveAvgPool2d, node: Node, out: ModuleWriter) -> None:
    """`nn.AdaptiveAvgPool2d`."""
    layer = out.declare(node, "nn.AdaptiveAvgPool2d", pair(op.output_size))
    out.assign(node, call(layer, *out.inputs(node)))


def _is_supported(node: Node) -> bool:
    """Whether torch's own pooling supports this padding."""
    if not isinstance(node.op, Pool2d):
        return False
    p, k = node.op.explicit_padding, node.op.kernel_size
    return p.symmetric and p.top <= k.height // 2 and p.left <= k.width // 2


def _window(op: Pool2d) -> dict[str, LiteralValue]:
    """The arguments for kernel and stride; the stride defaults to the kernel size."""
    window: dict[str, LiteralValue] = {"kernel_size": pair(op.kernel_size)}
    return window if op.effective_stride == op.kernel_size else window | {"stride": pair(op.effective_stride)}


def _geometry(op: Pool2d) -> dict[str, LiteralValue]:
    """The arguments for kernel, stride, padding and rounding, if torch supports the padding."""
    geometry, p = _window(op), op.explicit_padding
    if p:
        geometry["padding"] = height_and_width(p)
    if op.round == "ceil":  # also where the windows fit, so that a module serves maps of other sizes as the spec says
        geometry["ceil_mode"] = True
    return geometry
