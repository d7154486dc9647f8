"""Slices of slices along different axes, which one statement writes: `x[:, :, 4:-4, 4:-4]`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from netspec.graph import Graph, Node
from netspec.lowering.blocks.parts import Part
from netspec.ops import Slice


def slices_to(graph: Graph, part: Part, node: Node) -> tuple[Node, ...]:
    """The slices along different axes that one subscript ending with this slice writes, in order.

    Empty if the next slice is written in the same subscript.
    """
    row: list[Node] = []
    for each in _linked(graph, part, node):
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


def _linked(graph: Graph, part: Part, node: Node) -> tuple[Node, ...]:
    """The chain of slices by bounds that ends with this slice, or with the one after it."""
    members = part.members
    first = next(index for index, member in enumerate(members) if member is node)
    end = first + 2 if _is_link(graph, part, members[first : first + 2]) else first + 1
    while first and _is_link(graph, part, members[first - 1 : first + 1]):
        first -= 1
    return tuple(member for member in members[first:end] if isinstance(member, Node))


def _is_range(node: Node) -> bool:
    """Whether a node is a slice by bounds, rather than one of equal parts."""
    return isinstance(node.op, Slice) and node.op.part is None


def _is_link(graph: Graph, part: Part, pair: Sequence[Node | Part]) -> bool:
    """Whether two consecutive members are slices by bounds, the second the only reader of the first."""
    match pair:
        case Node() as first, Node() as second if _is_range(first) and _is_range(second):
            return first.name not in {*graph.outputs, *part.outputs} and graph.readers[first.name] == (second,)
        case _:
            return False
