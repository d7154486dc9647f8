"""Stacks within a block whose length differs between instances: the source repeats one element by a parameter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from netspec.lowering.blocks.parts import Part

Constructor = Callable[[Part], object]


class Repetition(NamedTuple):
    """Which elements of a stack the source repeats.

    Attributes:
        start: the index of the first one.
        element: that element; of a stack that ends before it, the one of another instance, repeated 0 times.
    """

    start: int
    element: Part


def repetitions_of(parts: Sequence[Part], constructor: Constructor) -> dict[str, Repetition]:
    """The repeated elements, by path of each stack whose length differs between instances.

    Args:
        parts: the instances of a block.
        constructor: returns the expression that constructs an element of a stack; elements whose expressions are
            equal are repetitions.
    """
    stacks: dict[str, list[Part]] = {}
    for part in parts:
        for member in part.members:
            if isinstance(member, Part) and member.is_chain:
                stacks.setdefault(member.name, []).append(member)
    found: dict[str, Repetition] = {}
    for same in stacks.values():
        if len({len(stack.members) for stack in same}) > 1 and (start := _start(same, constructor)) is not None:
            repeated = [stack.members[start] if len(stack.members) > start else None for stack in same]
            other = next(element for element in repeated if isinstance(element, Part))
            for stack, element in zip(same, repeated, strict=True):
                found[stack.path] = Repetition(start, element if isinstance(element, Part) else other)
    return found


def _start(stacks: Iterable[Part], constructor: Constructor) -> int | None:
    """0 if all elements of each stack are equal, 1 if all but the first are, else None. A stack has an element."""
    rows = [[constructor(part) for part in stack.members if isinstance(part, Part)] for stack in stacks]
    for start in (0, 1):
        if all(each == row[start] for row in rows for each in row[start:]):
            return start
    return None
