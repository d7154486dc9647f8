"""Sizes and paddings in the forms that ONNX takes."""

from __future__ import annotations

from netspec.graph import Node
from netspec.ops.attributes import Padding, Size2d, padding_of
from netspec.ops.pooling import Pool2d


def pair(size: Size2d) -> tuple[int, int]:
    """A size: (height, width)."""
    return (size.height, size.width)


def overhang(op: Pool2d, node: Node) -> Padding:
    """The padding at the bottom and right by which the last window reaches beyond the padded map."""
    return padding_of((0, 0, *op.overhang(node.input_types[0])))
