"""Linear maps in Keras; kernels are (features, units), and (units, features) in the graph."""

from netspec.graph import Node
from netspec.lowering.python.source import LiteralValue, call
from netspec.ops import Dense, LayerScale, MatMul
from netspec.ops.initializers import Constant, Values
from netspec_keras.layout import native_axis, native_order
from netspec_keras.table import lowers
from netspec_keras.writer import ModelWriter


@lowers(Dense)
def dense(op: Dense, node: Node, out: ModelWriter) -> None:
    """`layers.Dense`, or our `GroupedDense`; after a flatten in H, W, C, the rows of the kernel have that order."""
    optional: dict[str, LiteralValue] = {} if op.bias else {"use_bias": False}
    out.bind(node, "bias", "bias")
    if op.groups != 1:
        # The kernels of the groups are concatenated along the units: (features / groups, units).
        out.bind(node, "weight", "kernel", axes=(1, 0))
        out.apply(node, call("GroupedDense", op.units, groups=op.groups, **optional), *out.inputs(node))
        return
    flattened = out.channels_last_of(node.inputs[0])
    if flattened is None:
        out.bind(node, "weight", "kernel", axes=(1, 0))
    else:
        view, shape = (op.units, *flattened.features), (flattened.size, op.units)
        out.bind(node, "weight", "kernel", axes=(2, 3, 1, 0), view=view, native_shape=shape)
    out.apply(node, call("layers.Dense", op.units, **optional), *out.inputs(node))


@lowers(LayerScale)
def layer_scale(op: LayerScale, node: Node, out: ModelWriter) -> None:
    """Our `LayerScale`, with the initial gain of the spec."""
    initializer, axis = node.weights["weight"].initializer, native_axis(op.axis, node.type.rank)
    settings: dict[str, LiteralValue] = {} if axis == -1 else {"axis": axis}
    out.bind(node, "weight", "gain")
    match initializer:
        case Constant(constant=value) | Values(values=value):
            initial: LiteralValue = value
        case _:
            initial = 1.0
    out.apply(node, call("LayerScale", initial, **settings), *out.inputs(node))


@lowers(MatMul)
def matmul(op: MatMul, node: Node, out: ModelWriter) -> None:
    """`ops.matmul`, or for values of rank 4, whose rows and columns are not last in Keras, `ops.einsum`.

    `ops.einsum` does not broadcast, so it sums over the channels of an operand that has one channel for several.
    """
    a, b = out.inputs(node)
    if node.type.rank != 4:
        pairs = ((a, op.transpose_a), (b, op.transpose_b))
        operands = [call("ops.swapaxes", x, -2, -1) if transposed else x for x, transposed in pairs]
        out.assign(node, call("ops.matmul", *operands))
        return
    channels = ["c" if operand.features[0] == node.type.features[0] else "o" for operand in node.input_types]
    rows, columns = "kr" if op.transpose_a else "rk", "mk" if op.transpose_b else "km"
    letters = (f"n{channels[0]}{rows}", f"n{channels[1]}{columns}", "ncrm")
    left, right, product = ("".join(canonical[axis] for axis in native_order(4)) for canonical in letters)
    out.assign(node, call("ops.einsum", f"{left},{right}->{product}", a, b))
