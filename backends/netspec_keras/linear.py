"""The affine map in Keras: kernels (features, units); the graph has (units, features)."""

from netspec.graph import Node
from netspec.lowering.source import LiteralValue, call
from netspec.ops import Dense
from netspec_keras.table import lowers
from netspec_keras.writer import ModelWriter


@lowers(Dense)
def dense(op: Dense, node: Node, out: ModelWriter) -> None:
    """`layers.Dense`, or our own `GroupedDense`; rows of the kernel in the order in which a map was flattened."""
    optional: dict[str, LiteralValue] = {} if op.bias else {"use_bias": False}
    out.bind(node, "bias", "bias")
    if op.groups != 1:
        # The kernels of the groups stand side by side: (features of a group, units).
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
