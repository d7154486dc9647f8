"""Biases and masks of attention scores, in Keras: our own layers."""

from netspec.graph import Node
from netspec.lowering.python.source import LiteralValue, call
from netspec.ops import RegionMask, RelativePositionBias
from netspec_keras.layout import TO_CHANNELS_FIRST, TO_CHANNELS_LAST
from netspec_keras.table import lowers
from netspec_keras.writer import ModelWriter


@lowers(RelativePositionBias)
def relative_position_bias(op: RelativePositionBias, node: Node, out: ModelWriter) -> None:
    """`RelativePositionBias`, whose table and result have canonical axes; values of rank 4 are permuted around it."""
    (x,), table = out.inputs(node), node.input_types[0]
    if table.rank == 4:
        x = out.apply(node, call("layers.Permute", TO_CHANNELS_FIRST), x, role="table", features=table.features)
    layer = call("RelativePositionBias", op.grid)
    if node.type.rank != 4:
        out.apply(node, layer, x)
        return
    x = out.apply(node, layer, x, role="channels_first", features=node.type.features)
    out.apply(node, call("layers.Permute", TO_CHANNELS_LAST), x)


@lowers(RegionMask)
def region_mask(op: RegionMask, node: Node, out: ModelWriter) -> None:
    """`RegionMask`, which has the layout of the scores."""
    optional: dict[str, LiteralValue] = {"window_size": op.window_size} if op.window_size is not None else {}
    optional |= {"value": op.value} if op.value != -100.0 else {}
    out.apply(node, call("RegionMask", op.regions, **optional), *out.inputs(node))
