"""Stacks within a block whose length differs between its instances: what is stacked once, and how often."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from netspec.lowering.blocks.parts import Part
from netspec.lowering.python.source import Expression, Literal, Repeated

Made = Callable[[Part], object]


def starts_of(parts: Sequence[Part], made: Made) -> dict[str, int]:
    """Where repetition starts in stacks whose length differs between the instances of a block, by the stack's path.

    Args:
        parts: the instances.
        made: what makes one of a stack; those are repetitions that are made alike.
    """
    stacks: dict[str, list[Part]] = {}
    for part in parts:
        for member in part.members:
            if isinstance(member, Part) and member.is_chain:
                stacks.setdefault(member.name, []).append(member)
    starts: dict[str, int] = {}
    for same in stacks.values():
        start = _start(same, made)
        if start is not None and len({len(stack.members) for stack in same}) > 1:
            starts |= {stack.path: start for stack in same}
    return starts


def _start(stacks: Iterable[Part], made: Made) -> int | None:
    """0 where all of each stack are alike, 1 where the first is not, and others follow it; else None."""
    rows = [[made(part) for part in stack.members if isinstance(part, Part)] for stack in stacks]
    for start in (0, 1):
        if all(len(row) > start and all(each == row[start] for each in row[start:]) for row in rows):
            return start
    return None


def in_a_row(made: Sequence[Expression], starts: Mapping[str, int], path: str) -> tuple[Expression, ...] | None:
    """What makes a stack, its end as a repetition; None where its length is the same in all instances."""
    start = starts.get(path)
    return None if start is None else (*made[:start], Repeated(made[start], Literal(len(made)), start))
