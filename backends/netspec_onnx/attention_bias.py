"""Biases and masks of attention scores, in ONNX: indices and masks are constants."""

from netspec.graph import Node
from netspec.ops import RegionMask, RelativePositionBias
from netspec.ops.attention_bias import relative_index
from netspec.types import Dim
from netspec_onnx.table import lowers
from netspec_onnx.writer import GraphWriter


@lowers(RelativePositionBias)
def relative_position_bias(op: RelativePositionBias, node: Node, out: GraphWriter) -> None:
    """`Gather` of rows of the table, then `Transpose` of the heads before queries and keys."""
    (x,) = out.inputs(node)
    *leading, heads, queries, keys = node.type.shape
    count = len(leading)
    rows: tuple[Dim, ...] = (*leading, queries, keys, heads)
    index = out.constant(node, "index", relative_index(op.grid))
    x = out.step(node, "rows", "Gather", x, index, axis=count, shape=rows)
    out.assign(node, "Transpose", x, perm=(*range(count), count + 2, count, count + 1))


@lowers(RegionMask)
def region_mask(op: RegionMask, node: Node, out: GraphWriter) -> None:
    """`Add` of the mask, in a shape that broadcasts against a sample."""
    (x,), mask = out.inputs(node), op.mask
    aligned = mask.reshape(len(mask), *(1,) * max(0, node.type.rank - 4), *mask.shape[1:])
    out.assign(node, "Add", x, out.constant(node, "mask", aligned))
