"""Which units of a block's instance stand in the places of those of another one, the fullest."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from netspec.lowering.blocks.template import Draft, Unit
from netspec.lowering.python.rewrite import rename


@dataclass(frozen=True, slots=True)
class Aligned:
    """An instance, held against the fullest.

    Attributes:
        units: in each place of the fullest's; None where the instance has nothing there, and passes on what is read.
            What they give is called as there.
        results: the variables of its outputs, so called.
        passed: by each variable that the fullest has and the instance has not, the one that is there instead.
        sources: by each variable that several are merged into, and the instance has not, the one of those passed on.
    """

    units: tuple[Unit | None, ...]
    results: tuple[str, ...]
    passed: Mapping[str, str]
    sources: Mapping[str, str]


class Group:
    """Instances that share their code.

    Attributes:
        fullest: the one that has a unit in each place.
        members: by position, the fullest first.
        names: what is in each place, empty for nothing.
        others: the form of each unit that some have in the place of another, by place and name.
        sources: what is passed on where a unit that merges several is left out, by the variable of that.
    """

    def __init__(self, fullest: Draft) -> None:
        self.fullest = fullest
        self.members: dict[int, Aligned] = {}
        self.names: list[frozenset[str]] = [frozenset()] * len(fullest.units)
        self.others: dict[tuple[int, str], tuple[Any, ...]] = {}
        self.sources: dict[str, str] = {}


def align(draft: Draft, fullest: Draft) -> Aligned | None:
    """Put the units of an instance in the places of the fullest's; None where that cannot be.

    Units of one name belong together. Between those, an instance may have others that make no layer, each in the place
    of one that makes none either (`relu` for `hard_swish`): the nearest in the block. What is left over is left out; of
    what a unit that is left out would merge, that is passed on which is there.

    >>> from netspec.lowering.blocks.known import Given
    >>> from netspec.lowering.python.source import Assign, Name, call
    >>> def made(*names):
    ...     reads = ["x", *names]
    ...     units = [
    ...         Unit(own, (), (Assign(own, call(f"F.{own}", Name(read))),), (read, own))
    ...         for own, read in zip(names, reads)
    ...     ]
    ...     return Draft(tuple(units), (reads[-1],), Given())
    >>> found = align(made("norm", "tanh"), made("pad", "norm", "relu"))
    >>> [unit and unit.name for unit in found.units], found.results
    ([None, 'norm', 'tanh'], ('relu',))
    >>> align(made("relu", "norm"), made("pad", "norm", "relu")) is None
    True
    """
    places = _places(draft.units, fullest.units, draft.given.order)
    if places is None:
        return None
    passed: dict[str, str] = {}
    called: dict[str, str] = {}
    sources: dict[str, str] = {}
    units: list[Unit | None] = []
    for own, unit in zip(places, fullest.units, strict=True):
        if own is not None and own.name == unit.name:
            units.append(_renamed(own, called))
            continue
        if own is None and unit.merges is not None:
            reads, target = unit.merges
            source = sources[target] = next((read for read in reads if read not in passed), reads[0])
        elif unit.passes is not None:
            source, target = unit.passes
        else:
            return None
        if own is None:
            passed[target] = passed.get(source, source)
            units.append(None)
            continue
        assert own.passes is not None  # noqa: S101 # it stands for another
        read, given = own.passes
        if called.get(read, read) != passed.get(source, source):
            return None
        called[given] = target
        units.append(_renamed(own, called))
    return Aligned(tuple(units), tuple(called.get(result, result) for result in draft.results), passed, sources)


def _places(own: Sequence[Unit], fullest: Sequence[Unit], order: Sequence[str]) -> list[Unit | None] | None:
    """The units in places; None where they are in another order, or where there is no place for one."""
    known = {unit.name: place for place, unit in enumerate(fullest)}
    found: list[Unit | None] = [None] * len(fullest)
    others: list[Unit] = []
    start = 0
    for unit in (*own, None):
        place = known.get(unit.name) if unit else len(fullest)
        if place is None:
            assert unit is not None  # noqa: S101 # the end has a place
            others.append(unit)
            continue
        if place < start or not _place_others(others, range(start, place), fullest, found, order):
            return None
        if unit:
            found[place] = unit
        others, start = [], place + 1
    return found


def _place_others(
    others: Sequence[Unit], free: range, fullest: Sequence[Unit], found: list[Unit | None], order: Sequence[str]
) -> bool:
    """Put units in places of others, from the last; whether there is one for each."""
    for left, unit in reversed([*enumerate(others)]):
        fitting = [place for place in free[left:] if _may_stand_for(unit, fullest[place])]
        if not fitting:
            return False
        nearest = min(reversed(fitting), key=lambda place: _distance(unit.name, fullest[place].name, order))
        found[nearest] = unit
        free = range(free.start, nearest)
    return True


def _distance(own: str, other: str, order: Sequence[str]) -> float:
    """How far layers are from one another in a block, if the spec tells."""
    return abs(order.index(own) - order.index(other)) if {own, other} <= {*order} else math.inf


def _may_stand_for(own: Unit, unit: Unit) -> bool:
    return own.passes is not None and unit.passes is not None and not own.setup and not unit.setup


def _renamed(unit: Unit, called: Mapping[str, str]) -> Unit:
    if not called:
        return unit
    return replace(unit, run=tuple(rename(statement, called) for statement in unit.run))
