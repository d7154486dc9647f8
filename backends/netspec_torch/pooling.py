"""Pooling in torch, whose own layers pad symmetrically, and by half a kernel at most."""

from netspec.graph import Node
from netspec.lowering.python.source import LiteralValue, call
from netspec.ops import AdaptiveAvgPool2d, AvgPool2d, GlobalAvgPool2d, MaxPool2d
from netspec.ops.pooling import Pool2d
from netspec_torch.geometry import height_and_width, pad, pair
from netspec_torch.table import lowers
from netspec_torch.writer import ModuleWriter


@lowers(MaxPool2d)
def max_pool2d(op: MaxPool2d, node: Node, out: ModuleWriter) -> None:
    """`nn.MaxPool2d`; padding that it does not take is minus infinity before it, with what a last window hangs over."""
    (x,) = out.inputs(node)
    if out.all_alike(node, _takes):
        layer = out.declare(node, "nn.MaxPool2d", **_geometry(op, node))
    else:
        down, right = op.overhang(node.input_types[0])
        x = pad(node, out, x, op.sides, more=(down, right), value=call("float", "-inf"))
        layer = out.declare(node, "nn.MaxPool2d", **_window(op))
    out.assign(node, call(layer, x))


@lowers(AvgPool2d)
def avg_pool2d(op: AvgPool2d, node: Node, out: ModuleWriter) -> None:
    """`nn.AvgPool2d`, which counts padding but not an overhang unless told otherwise.

    Padding that it does not take is zeros before it where the divisor is the whole window, else a layer of our own.
    """
    (x,) = out.inputs(node)
    area = op.kernel_size.height * op.kernel_size.width
    down, right = op.overhang(node.input_types[0])
    if out.all_alike(node, _takes):
        divisor: dict[str, LiteralValue] = {}
        if op.divisor == "valid_only" and op.sides:
            divisor["count_include_pad"] = False
        elif op.divisor == "window" and (down or right):
            divisor["divisor_override"] = area
        layer = out.declare(node, "nn.AvgPool2d", **_geometry(op, node), **divisor)
    elif op.divisor == "window" or (op.divisor == "window_in_padded" and not (down or right)):
        x = pad(node, out, x, op.sides, more=(down, right))
        layer = out.declare(node, "nn.AvgPool2d", **_window(op))
    else:
        out.support("avg_pool2d")
        p = op.sides
        optional: dict[str, LiteralValue] = {"overhang": (right, down)} if down or right else {}
        if op.divisor == "valid_only":
            optional["count_include_pad"] = False
        sizes = {"kernel_size": pair(op.kernel_size), "stride": pair(op.steps)}
        layer = out.declare(node, "PaddedAvgPool2d", **sizes, padding=(p.left, p.right, p.top, p.bottom), **optional)
    out.assign(node, call(layer, x))


@lowers(GlobalAvgPool2d)
def global_avg_pool2d(op: GlobalAvgPool2d, node: Node, out: ModuleWriter) -> None:
    """`torch.mean` over the last two axes."""
    keep: dict[str, LiteralValue] = {"keepdim": True} if op.keepdims else {}
    out.assign(node, call("torch.mean", *out.inputs(node), dim=(2, 3), **keep))


@lowers(AdaptiveAvgPool2d)
def adaptive_avg_pool2d(op: AdaptiveAvgPool2d, node: Node, out: ModuleWriter) -> None:
    """`nn.AdaptiveAvgPool2d`, whose rule is the graph's."""
    layer = out.declare(node, "nn.AdaptiveAvgPool2d", pair(op.output_size))
    out.assign(node, call(layer, *out.inputs(node)))


def _takes(node: Node) -> bool:
    """Whether torch's own pooling takes this padding."""
    if not isinstance(node.op, Pool2d):
        return False
    p, k = node.op.sides, node.op.kernel_size
    return p.symmetric and p.top <= k.height // 2 and p.left <= k.width // 2


def _window(op: Pool2d) -> dict[str, LiteralValue]:
    """Kernel and stride; the stride is the kernel's size by default."""
    window: dict[str, LiteralValue] = {"kernel_size": pair(op.kernel_size)}
    return window if op.steps == op.kernel_size else window | {"stride": pair(op.steps)}


def _geometry(op: Pool2d, node: Node) -> dict[str, LiteralValue]:
    """Kernel, stride, padding and rounding, where padding is as torch takes it."""
    geometry, p = _window(op), op.sides
    if p:
        geometry["padding"] = height_and_width(p)
    if any(op.overhang(node.input_types[0])):
        geometry["ceil_mode"] = True
    return geometry
