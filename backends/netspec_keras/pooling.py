"""Pooling in Keras, whose layers have only `same` padding and no ceil mode."""

from netspec.graph import Node
from netspec.lowering.python.source import Call, LiteralValue, Name, call
from netspec.ops import AdaptiveAvgPool2d, AvgPool2d, GlobalAvgPool2d, MaxPool2d
from netspec.ops.attributes import Padding, Size2d, both
from netspec.ops.pooling import Pool2d
from netspec_keras.geometry import enlarged, is_same, padded, pair, sides
from netspec_keras.table import lowers
from netspec_keras.writer import PAD, ModelWriter


@lowers(MaxPool2d)
def max_pool2d(op: MaxPool2d, node: Node, out: ModelWriter) -> None:
    """`layers.MaxPooling2D`, after our `MinusInfinityPadding2D` unless the padding is `same`."""
    (x,) = out.inputs(node)
    padding = _full_padding(op, node)
    same = out.all_instances(node, _is_same)
    if padding and not same:
        x = _pad(node, out, x, "MinusInfinityPadding2D", padding)
    out.apply(node, _pool("layers.MaxPooling2D", op, same), x)


@lowers(AvgPool2d)
def avg_pool2d(op: AvgPool2d, node: Node, out: ModelWriter) -> None:
    """`layers.AveragePooling2D`, after a zero padding if all of it counts; else our `CountingAveragePooling2D`.

    `padding="same"`, which does not count, is not used: on PyTorch, Keras averages repeated edges there.
    """
    (x,) = out.inputs(node)
    padding = _full_padding(op, node)
    counted = {"window": padding, "window_in_padded": op.explicit_padding, "valid_only": None}[op.divisor]
    if not padding:
        out.apply(node, _pool("layers.AveragePooling2D", op, same=False), x)
    elif counted == padding:
        x = _pad(node, out, x, "layers.ZeroPadding2D", padding)
        out.apply(node, _pool("layers.AveragePooling2D", op, same=False), x)
    else:
        settings: dict[str, LiteralValue] = {"pad": _both(padding)}
        if counted:
            settings["counted"] = _both(counted)
        layer = call("CountingAveragePooling2D", pair(op.kernel_size), strides=pair(op.effective_stride), **settings)
        out.apply(node, layer, x)


@lowers(GlobalAvgPool2d)
def global_avg_pool2d(op: GlobalAvgPool2d, node: Node, out: ModelWriter) -> None:
    """`layers.GlobalAveragePooling2D`."""
    settings: dict[str, LiteralValue] = {"keepdims": True} if op.keepdims else {}
    out.apply(node, call("layers.GlobalAveragePooling2D", **settings), *out.inputs(node))


@lowers(AdaptiveAvgPool2d)
def adaptive_avg_pool2d(op: AdaptiveAvgPool2d, node: Node, out: ModelWriter) -> None:
    """`layers.AveragePooling2D` if all windows have one size, else our `AdaptiveAveragePool2D`."""
    _, height, width = node.input_types[0].features
    size = op.output_size
    if not out.all_instances(node, _divides):
        layer = call("AdaptiveAveragePool2D", pair(size))
    else:
        window = Size2d(height=height // size.height, width=width // size.width)
        size_of_window = pair(window) if out.all_equal(node, _input_size) else (window.height, window.width)
        layer = call("layers.AveragePooling2D", size_of_window)
    out.apply(node, layer, *out.inputs(node))


def _input_size(node: Node) -> tuple[int, ...]:
    return node.input_types[0].features[1:]


def _divides(node: Node) -> bool:
    """Whether an adaptive pooling divides the map into windows of one size."""
    _, height, width = node.input_types[0].features
    size = node.op.output_size if isinstance(node.op, AdaptiveAvgPool2d) else both(1)
    return height % size.height == 0 and width % size.width == 0


def _full_padding(op: Pool2d, node: Node) -> Padding:
    """The padding, and the overhang of the last windows."""
    return enlarged(op.explicit_padding, op.overhang(node.input_types[0]))


def _is_same(node: Node) -> bool:
    """Whether the full padding of a max pooling is that of `padding="same"`."""
    op = node.op
    return isinstance(op, MaxPool2d) and is_same(
        node.input_types[0], _full_padding(op, node), op.kernel_size, op.effective_stride
    )


def _pool(layer: str, op: Pool2d, same: bool) -> Call:
    settings: dict[str, LiteralValue] = (
        {} if op.effective_stride == op.kernel_size else {"strides": pair(op.effective_stride)}
    )
    if same:
        settings["padding"] = "same"
    return call(layer, pair(op.kernel_size), **settings)


def _pad(node: Node, out: ModelWriter, x: Name, layer: str, p: Padding) -> Name:
    return out.apply(node, call(layer, sides(p)), x, role=PAD, features=padded(node.input_types[0], p))


def _both(p: Padding) -> LiteralValue:
    return ((p.top, p.bottom), (p.left, p.right))
