"""Pooling in Keras, whose own layers pad by `same` or not at all, and floor."""

from netspec.graph import Node
from netspec.lowering.python.source import Call, LiteralValue, Name, call
from netspec.ops import AdaptiveAvgPool2d, AvgPool2d, GlobalAvgPool2d, MaxPool2d
from netspec.ops.attributes import Padding, Size2d
from netspec.ops.pooling import Pool2d
from netspec_keras.geometry import enlarged, is_same, padded, pair, sides
from netspec_keras.table import lowers
from netspec_keras.writer import PAD, ModelWriter


@lowers(MaxPool2d)
def max_pool2d(op: MaxPool2d, node: Node, out: ModelWriter) -> None:
    """`layers.MaxPooling2D`, after minus infinity has been put where it does not pad by itself."""
    (x,) = out.inputs(node)
    reach = _reach(op, node)
    same = out.all_alike(node, _pads_by_itself)
    if reach and not same:
        x = _pad(node, out, x, "MinusInfinityPadding2D", reach)
    out.apply(node, _pool("layers.MaxPooling2D", op, same), x)


@lowers(AvgPool2d)
def avg_pool2d(op: AvgPool2d, node: Node, out: ModelWriter) -> None:
    """`layers.AveragePooling2D` without padding, or after zeros that all count; else `CountingAveragePooling2D`.

    The `same` of Keras would do where no padding counts, but on PyTorch it averages repeated edges.
    """
    (x,) = out.inputs(node)
    reach = _reach(op, node)
    counted = {"window": reach, "window_in_padded": op.sides, "valid_only": None}[op.divisor]
    if not reach:
        out.apply(node, _pool("layers.AveragePooling2D", op, same=False), x)
    elif counted == reach:
        x = _pad(node, out, x, "layers.ZeroPadding2D", reach)
        out.apply(node, _pool("layers.AveragePooling2D", op, same=False), x)
    else:
        settings: dict[str, LiteralValue] = {"pad": _both(reach)}
        if counted:
            settings["counted"] = _both(counted)
        layer = call("CountingAveragePooling2D", pair(op.kernel_size), strides=pair(op.steps), **settings)
        out.apply(node, layer, x)


@lowers(GlobalAvgPool2d)
def global_avg_pool2d(op: GlobalAvgPool2d, node: Node, out: ModelWriter) -> None:
    """`layers.GlobalAveragePooling2D`."""
    settings: dict[str, LiteralValue] = {"keepdims": True} if op.keepdims else {}
    out.apply(node, call("layers.GlobalAveragePooling2D", **settings), *out.inputs(node))


@lowers(AdaptiveAvgPool2d)
def adaptive_avg_pool2d(op: AdaptiveAvgPool2d, node: Node, out: ModelWriter) -> None:
    """`layers.AveragePooling2D` where the parts are of one size, else our own, exact on every engine."""
    _, height, width = node.input_types[0].features
    size = op.output_size
    if height % size.height or width % size.width:
        layer = call("AdaptiveAveragePool2D", pair(size))
    else:
        layer = call("layers.AveragePooling2D", pair(Size2d(height=height // size.height, width=width // size.width)))
    out.apply(node, layer, *out.inputs(node))


def _reach(op: Pool2d, node: Node) -> Padding:
    """All that the windows read around the map: padding and overhang."""
    return enlarged(op.sides, op.overhang(node.input_types[0]))


def _pads_by_itself(node: Node) -> bool:
    """Whether what the windows of a max-pooling reach is what `same` gives."""
    op = node.op
    return isinstance(op, MaxPool2d) and is_same(node.input_types[0], _reach(op, node), op.kernel_size, op.steps)


def _pool(layer: str, op: Pool2d, same: bool) -> Call:
    settings: dict[str, LiteralValue] = {} if op.steps == op.kernel_size else {"strides": pair(op.steps)}
    if same:
        settings["padding"] = "same"
    return call(layer, pair(op.kernel_size), **settings)


def _pad(node: Node, out: ModelWriter, x: Name, layer: str, p: Padding) -> Name:
    return out.apply(node, call(layer, sides(p)), x, role=PAD, features=padded(node.input_types[0], p))


def _both(p: Padding) -> LiteralValue:
    return ((p.top, p.bottom), (p.left, p.right))
