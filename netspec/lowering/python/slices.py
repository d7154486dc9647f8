"""Slices of slices along different axes, which one statement writes: `x[:, :, 4:-4, 4:-4]`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from netspec.graph import Graph, Node
from netspec.lowering.blocks.parts import Part
from netspec.lowering.python.chains import chain_around
from netspec.ops import Slice


def slices_to(graph: Graph, part: Part, node: Node) -> tuple[Node, ...]:
    """The slices along different axes that one subscript ending with this slice writes, in order.

    Empty if the next slice is written in the same subscript.
    """
    row: list[Node] = []
    for each in chain_around(graph, part, node, _is_range):
        if _axis(each) in map(_axis, row):  # a second slice along an axis needs another subscript
            if row[-1] is node:
                break
            row = []
        row.append(each)
    return tuple(row) if row[-1] is node else ()


def _axis(node: Node) -> int:
    assert isinstance(node.op, Slice)  # noqa: S101 # only slices are linked
    return node.op.axis


def bounds_of(row: Sequence[Node]) -> Iterator[tuple[int, tuple[int, int, int, int]]]:
    """The axis of each slice, and its start, stop, step, and the size of the axis before slicing."""
    for node in row:
        assert isinstance(node.op, Slice)  # noqa: S101 # only slices are linked
        (x,) = node.input_types
        yield node.op.axis, (*node.op.bounds(x), x.features[node.op.axis - 1])


def _is_range(node: Node) -> bool:
    """Whether a node is a slice by bounds, rather than one of equal parts."""
    return isinstance(node.op, Slice) and node.op.part is None
