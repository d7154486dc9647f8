"""Stacks within a block whose length differs between instances: the source repeats one element by a parameter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from netspec.lowering.blocks.parts import Part
from netspec.lowering.python.source import Expression, Literal, Repeated

Constructor = Callable[[Part], object]


def starts_of(parts: Sequence[Part], constructor: Constructor) -> dict[str, int]:
    """The index of the first repeated element, by path of each stack whose length differs between instances.

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
    starts: dict[str, int] = {}
    for same in stacks.values():
        start = _start(same, constructor)
        if start is not None and len({len(stack.members) for stack in same}) > 1:
            starts |= {stack.path: start for stack in same}
    return starts


def _start(stacks: Iterable[Part], constructor: Constructor) -> int | None:
    """0 if all elements of each stack are equal, 1 if all but the first are, else None."""
    rows = [[constructor(part) for part in stack.members if isinstance(part, Part)] for stack in stacks]
    for start in (0, 1):
        if all(len(row) > start and all(each == row[start] for each in row[start:]) for row in rows):
            return start
    return None


def with_repetition(
    elements: Sequence[Expression], starts: Mapping[str, int], path: str
) -> tuple[Expression, ...] | None:
    """The elements of a stack, with the equal ones as one `Repeated`; None if `starts_of` does not list the stack."""
    start = starts.get(path)
    return None if start is None else (*elements[:start], Repeated(elements[start], Literal(len(elements)), start))
