"""Slices that source writes as one: in a row, `x[:, :, 4:-4, 4:-4]`, or all parts of a value, `a, b = x.chunk(2)`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from netspec.graph import Graph, Node
from netspec.lowering.blocks.parts import Part
from netspec.ops import Slice


def slices_to(graph: Graph, part: Part, node: Node) -> tuple[Node, ...]:
    """The slices that are written as one with this slice, in order, it the last; none where it goes into the next."""
    row: list[Node] = []
    for each in _linked(graph, part, node):
        if _axis(each) in map(_axis, row):
            if row[-1] is node:
                break
            row = []
        row.append(each)
    return tuple(row) if row[-1] is node else ()


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


def _axis(node: Node) -> int:
    assert isinstance(node.op, Slice)  # noqa: S101 # all of a row are
    return node.op.axis


def bounds_of(row: Sequence[Node]) -> Iterator[tuple[int, tuple[int, int, int, int]]]:
    """The axis of each slice, and its start, stop, step and the size that the axis has before it."""
    for node in row:
        assert isinstance(node.op, Slice)  # noqa: S101 # all of a row are
        (x,) = node.input_types
        yield node.op.axis, (*node.op.bounds(x), x.features[node.op.axis - 1])


def _linked(graph: Graph, part: Part, node: Node) -> tuple[Node, ...]:
    """The slices by bounds of which each goes into the next, up to this one and the one that it goes into."""
    members = part.members
    first = next(index for index, member in enumerate(members) if member is node)
    end = first + 2 if _goes_into(graph, part, members[first : first + 2]) else first + 1
    while first and _goes_into(graph, part, members[first - 1 : first + 1]):
        first -= 1
    return tuple(member for member in members[first:end] if isinstance(member, Node))


def _is_range(node: Node) -> bool:
    """Whether a node is a slice by bounds; one of equal parts is written as such."""
    return isinstance(node.op, Slice) and node.op.part is None


def _goes_into(graph: Graph, part: Part, pair: Sequence[Node | Part]) -> bool:
    """Whether two members of a part are slices by bounds, the second the only reader of the first."""
    match pair:
        case Node() as first, Node() as second if _is_range(first) and _is_range(second):
            return first.name not in {*graph.outputs, *part.outputs} and graph.readers[first.name] == (second,)
        case _:
            return False
