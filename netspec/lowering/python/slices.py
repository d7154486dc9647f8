"""Slices that one statement writes: slices of slices, `x[:, :, 4:-4, 4:-4]`, or all parts, `a, b = x.chunk(2)`."""

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


def parts_with(part: Part, node: Node) -> tuple[Node, ...]:
    """The nodes that take all equal parts of the value that this one takes a part of, in the order of the parts.

    Empty if there is a single part, or if the nodes are not consecutive members.
    """
    assert isinstance(node.op, Slice)  # noqa: S101 # callers pass a slice into equal parts
    position = next(index for index, member in enumerate(part.members) if member is node)
    count = node.op.of or 1
    for start in range(max(0, position - count + 1), position + 1 if count > 1 else 0):
        nodes = [each for each in part.members[start : start + count] if isinstance(each, Node)]
        parts = {each.op.part: each for each in nodes if isinstance(each.op, Slice) and _takes_like(each, node)}
        if len(parts) == count and all(number in parts for number in range(count)):
            return tuple(parts[number] for number in range(count))
    return ()


def _takes_like(node: Node, other: Node) -> bool:
    """Whether two slices take equal parts of the same value along the same axis."""
    a, b = node.op, other.op
    same = isinstance(a, Slice) and isinstance(b, Slice) and (a.axis, a.of) == (b.axis, b.of)
    return same and node.inputs == other.inputs


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
