"""Reductions in Keras, over the native positions of the axes."""

from netspec.graph import Node
from netspec.lowering.python.source import LiteralValue, call
from netspec.ops import L2Normalize, ReduceL2, ReduceMax, ReduceMean, ReduceMin, ReduceSum
from netspec.ops.reduction import Reduction
from netspec_keras.layout import native_axis, native_features, native_order
from netspec_keras.table import lowers
from netspec_keras.writer import ModelWriter

FUNCTIONS: dict[type[Reduction], str] = {
    ReduceMean: "ops.mean",
    ReduceSum: "ops.sum",
    ReduceMax: "ops.max",
    ReduceMin: "ops.min",
}


@lowers(*FUNCTIONS, ReduceL2)
def reduce(op: Reduction, node: Node, out: ModelWriter) -> None:
    """`ops.mean`, `ops.sum`, `ops.max` or `ops.min`, and a transpose if the result has another native order of axes.

    Our `L2Norm` for the norm, since the gradient of `ops.norm` is NaN where all elements are 0.
    """
    (x,) = out.inputs(node)
    rank = node.input_types[0].rank
    settings: dict[str, LiteralValue] = {"axis": axes(op.axes, rank)} | ({"keepdims": True} if op.keepdims else {})
    reduced = [axis for axis in native_order(rank) if axis not in op.axes]
    # The native order of the result. It differs if rank 5 is reduced to 4, which is channels last.
    native = reduced if op.keepdims else [sorted(reduced)[axis] for axis in native_order(node.type.rank)]
    features = tuple(node.input_types[0].features[axis - 1] for axis in reduced[1:]) if reduced != native else ()
    if isinstance(op, ReduceL2):
        x = out.apply(node, call("L2Norm", **settings), x, features=features)
    else:
        x = out.assign(node, call(FUNCTIONS[type(op)], x, **settings), features)
    if reduced != native:
        order = tuple(reduced.index(axis) for axis in native)
        out.assign(node, call("ops.transpose", x, order), native_features(node.type))


@lowers(L2Normalize)
def l2_normalize(op: L2Normalize, node: Node, out: ModelWriter) -> None:
    """Our `L2Normalization`, since the gradient of `ops.normalize` is NaN where all elements are 0."""
    layer = call("L2Normalization", axis=axes(op.axes, node.type.rank), epsilon=op.epsilon)
    out.apply(node, layer, *out.inputs(node))


def axes(of: tuple[int, ...], rank: int) -> LiteralValue:
    """The native positions of canonical axes: one as a number, several as a tuple."""
    native = tuple(sorted(native_axis(axis, rank) % rank for axis in of))
    return native[0] if len(native) == 1 else native
