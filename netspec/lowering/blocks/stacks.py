"""Stacks within a block that differ in length, or in which elements are equal: the source repeats one element."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import NamedTuple

from netspec.lowering.blocks.parts import Part

Constructor = Callable[[Part], object]


class Repetition(NamedTuple):
    """Which elements of a stack the source repeats.

    Where the first and the last differ and some stack has only one, it repeats all, by their index.

    Attributes:
        start: how many elements come before them.
        end: how many come after them.
        element: each of them; of a stack without any, the one of another instance, repeated 0 times.
        stacks: all stacks that are written in the same place, if the elements are repeated by their index.
    """

    start: int
    end: int
    element: Part
    stacks: Sequence[Part] = ()


def stacks_in(parts: Sequence[Part]) -> dict[str, dict[int, Part]]:
    """The stacks in instances of a block that pass one value on, by name and then by the number of the instance."""
    stacks: dict[str, dict[int, Part]] = {}
    for number, part in enumerate(parts):
        for member in part.instances:
            if member.is_loop:
                stacks.setdefault(member.name, {})[number] = member
    return stacks


def repetitions_of(parts: Sequence[Part], constructor: Constructor) -> dict[str, Repetition]:
    """The repeated elements, by path of each stack that differs between instances in its runs of equal elements.

    Args:
        parts: the instances of a block.
        constructor: returns the expression that constructs an element of a stack; elements whose expressions are
            equal are repetitions.
    """
    found: dict[str, Repetition] = {}
    for stacks in stacks_in(parts).values():
        same = [stack for stack in stacks.values() if stack.is_chain]
        runs = {tuple(len([*run]) for _, run in groupby(map(constructor, stack.instances))) for stack in same}
        ends = _ends(same, constructor) if len(runs) > 1 else None  # else the source is the same anyway
        if ends is not None:
            start, end = ends
            if min(len(stack.instances) for stack in same) < start + end:
                found |= {stack.path: Repetition(0, 0, stack.instances[0], same) for stack in same}
                continue
            repeated = [stack.instances[start : len(stack.instances) - end] for stack in same]
            other = next(element for elements in repeated for element in elements)
            for stack, elements in zip(same, repeated, strict=True):
                found[stack.path] = Repetition(start, end, elements[0] if elements else other)
    return found


def _are_like_the_first(stacks: Sequence[Part]) -> bool:
    """Whether the elements of stacks of one are rather like the first elements of longer stacks than like the last."""
    rows = [[dict(part.scope.arguments) if part.scope else {} for part in stack.instances] for stack in stacks]
    single = [row[0] for row in rows if len(row) == 1]
    longer = max(rows, key=len)
    likeness = [sum(each[name] == longer[end].get(name) for each in single for name in each) for end in (0, -1)]
    return likeness[0] >= likeness[1]


def _ends(stacks: Sequence[Part], constructor: Constructor) -> tuple[int, int] | None:
    """How many elements at the start and at the end of each stack differ from those between, which are equal.

    The fewest that hold for all stacks, one at most of either, as `first` and `last` change; None if there are more.
    """
    rows = [[constructor(part) for part in stack.instances] for stack in stacks]
    either = ((1, 0), (0, 1)) if _are_like_the_first(stacks) else ((0, 1), (1, 0))
    for start, end in ((0, 0), *either, (1, 1)):
        between = [row[start : len(row) - end] for row in rows]
        enough = start == end or min(map(len, rows)) >= start + end
        if enough and all(each == row[0] for row in between for each in row):
            return start, end
    return None
