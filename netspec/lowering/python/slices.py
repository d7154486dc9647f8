"""Slices that source writes as one: in a row, `x[:, :, 4:-4, 4:-4]`, or all parts of a value, `a, b = x.chunk(2)`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from netspec.graph import Graph, Node
from netspec.lowering.blocks.parts import Part
from netspec.ops import Slice


def slices_to(graph: Graph, part: Part, node: Node) -> tuple[Node, ...]:
    """The slices that are written as one with this slice, in order, it the last; none where it goes into the next."""
    return () if _next(graph, part, node) else _row(graph, part, node)


def parts_with(part: Part, node: Node) -> tuple[Node, ...]:
    """All the equal parts, of several, of what a slice is one of, in order; none where they do not stand together.

    The first of them in the network is the one that is written.
    """
    assert isinstance(node.op, Slice)  # noqa: S101 # a slice into equal parts
    position = next(index for index, member in enumerate(part.members) if member is node)
    count = node.op.of or 1
    for start in range(max(0, position - count + 1), position + 1 if count > 1 else 0):
        found = [each for each in part.members[start : start + count] if isinstance(each, Node)]
        parts = {each.op.part: each for each in found if isinstance(each.op, Slice) and _is_like(each, node)}
        if len(parts) == count and all(number in parts for number in range(count)):
            return tuple(parts[number] for number in range(count))
    return ()


def _is_like(node: Node, other: Node) -> bool:
    """Whether two slices are of equal parts of one value, along one axis."""
    a, b = node.op, other.op
    same = isinstance(a, Slice) and isinstance(b, Slice) and (a.axis, a.of) == (b.axis, b.of)
    return same and node.inputs == other.inputs


def bounds_of(row: Sequence[Node]) -> Iterator[tuple[int, tuple[int, int, int, int]]]:
    """The axis of each slice, and its start, stop, step and the size that the axis has before it."""
    for node in row:
        assert isinstance(node.op, Slice)  # noqa: S101 # all of a row are
        (x,) = node.input_types
        yield node.op.axis, (*node.op.bounds(x), x.features[node.op.axis - 1])


def _row(graph: Graph, part: Part, node: Node) -> tuple[Node, ...]:
    """The slice, and those before it that go into the one after them."""
    before = graph.values[node.inputs[0]]
    if isinstance(before, Node) and _is_range(before) and _next(graph, part, before) is node:
        return (*_row(graph, part, before), node)
    return (node,)


def _is_range(node: Node) -> bool:
    """Whether a node is a slice by bounds; one of equal parts is written as such."""
    return isinstance(node.op, Slice) and node.op.part is None


def _next(graph: Graph, part: Part, node: Node) -> Node | None:
    """The slice that a slice goes into: the next member of the part, its only reader, and of another axis."""
    readers = graph.readers[node.name]
    if node.name in {*graph.outputs, *part.outputs} or len(readers) != 1 or not _is_range(readers[0]):
        return None
    position = next((index for index, member in enumerate(part.members) if member is node), len(part.members))
    if part.members[position + 1 : position + 2] != (readers[0],):
        return None
    axes = [axis for axis, _ in bounds_of((*_row(graph, part, node), readers[0]))]
    return readers[0] if len(set(axes)) == len(axes) else None
