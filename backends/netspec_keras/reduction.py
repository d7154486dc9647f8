"""Reductions in Keras: along the axes where Keras keeps them."""

from netspec.graph import Node
from netspec.lowering.python.source import LiteralValue, call
from netspec.ops import L2Normalize, ReduceL2, ReduceMax, ReduceMean, ReduceSum
from netspec.ops.reduction import Reduction
from netspec_keras.layout import native_axis, native_features, native_order
from netspec_keras.table import lowers
from netspec_keras.writer import ModelWriter

FUNCTIONS: dict[type[Reduction], str] = {ReduceMean: "ops.mean", ReduceSum: "ops.sum", ReduceMax: "ops.max"}


@lowers(*FUNCTIONS, ReduceL2)
def reduce(op: Reduction, node: Node, out: ModelWriter) -> None:
    """`ops.mean`, `ops.sum`, `ops.max`; what is left is brought into the order in which Keras keeps it.

    The norm is a layer of ours, for the gradient of `ops.norm` is not a number where all is 0.
    """
    (x,) = out.inputs(node)
    rank = node.input_types[0].rank
    settings: dict[str, LiteralValue] = {"axis": axes(op.axes, rank)} | ({"keepdims": True} if op.keepdims else {})
    left = [axis for axis in native_order(rank) if axis not in op.axes]
    # Where Keras keeps what is left: of a value of five axes a map may be, whose channels are last.
    kept = left if op.keepdims else [sorted(left)[axis] for axis in native_order(node.type.rank)]
    features = tuple(node.input_types[0].features[axis - 1] for axis in left[1:]) if left != kept else ()
    if isinstance(op, ReduceL2):
        x = out.apply(node, call("L2Norm", **settings), x, features=features)
    else:
        x = out.assign(node, call(FUNCTIONS[type(op)], x, **settings), features)
    if left != kept:
        order = tuple(left.index(axis) for axis in kept)
        out.assign(node, call("ops.transpose", x, order), native_features(node.type))


@lowers(L2Normalize)
def l2_normalize(op: L2Normalize, node: Node, out: ModelWriter) -> None:
    """Our own, for the gradient of `ops.normalize` is not a number where all is 0."""
    layer = call("L2Normalization", axis=axes(op.axes, node.type.rank), epsilon=op.epsilon)
    out.apply(node, layer, *out.inputs(node))


def axes(of: tuple[int, ...], rank: int) -> LiteralValue:
    """Where Keras keeps these axes: one as a number, several as a tuple."""
    native = tuple(sorted(native_axis(axis, rank) % rank for axis in of))
    return native[0] if len(native) == 1 else native
