"""Sizes and paddings as ONNX takes them."""

from __future__ import annotations

from netspec.graph import Node
from netspec.ops.attributes import Padding, Size2d, padding_of
from netspec.ops.pooling import Pool2d


def pair(size: Size2d) -> tuple[int, int]:
    """A size as ONNX takes it: (height, width)."""
    return (size.height, size.width)


def overhang(op: Pool2d, node: Node) -> Padding:
    """What the last window reaches past the padded map, as padding at the bottom and the right."""
    return padding_of((0, 0, *op.overhang(node.input_types[0])))
