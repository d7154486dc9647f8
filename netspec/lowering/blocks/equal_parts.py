"""Slices that take equal parts of one value, which emitted source takes in one statement: `a, b = x.chunk(2)`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from netspec.graph import Node
from netspec.ops import Slice

MemberT = TypeVar("MemberT")


def all_parts(members: Sequence[object], node: Node) -> tuple[Node, ...]:
    """The members that take all equal parts of the value that a slice takes a part of, in the order of the parts.

    Empty if the slice takes the only part, if no member takes some part, or if several take the same.
    """
    assert isinstance(node.op, Slice)  # noqa: S101 # callers pass a slice into equal parts
    count = node.op.of or 1
    taken = [(_part_of(each), each) for each in members if isinstance(each, Node) and _takes_like(each, node)]
    if count == 1 or {number for number, _ in taken} != set(range(count)) or len(taken) != count:
        return ()
    return tuple(each for _, each in sorted(taken, key=lambda part: part[0]))


def with_parts_together(members: Sequence[MemberT]) -> Iterator[MemberT]:
    """The members in an order in which those that take all equal parts of one value follow the first of them."""
    moved: set[int] = set()
    for member in members:
        if id(member) in moved:
            continue
        yield member
        if isinstance(member, Node) and isinstance(member.op, Slice) and member.op.of is not None:
            together = {id(each) for each in all_parts(members, member)} - {id(member)}
            yield from (each for each in members if id(each) in together)
            moved |= together


def _takes_like(node: Node, other: Node) -> bool:
    """Whether two slices take equal parts of the same value along the same axis."""
    a, b = node.op, other.op
    same = isinstance(a, Slice) and isinstance(b, Slice) and (a.axis, a.of) == (b.axis, b.of)
    return same and node.inputs == other.inputs


def _part_of(node: Node) -> int:
    return node.op.part or 0 if isinstance(node.op, Slice) else 0
