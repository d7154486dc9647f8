"""Which units of a block's instance stand in the places of those of another one, the fullest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from netspec.lowering.rewrite import rename
from netspec.lowering.template import Draft, Unit


@dataclass(frozen=True, slots=True)
class Aligned:
    """An instance, held against the fullest.

    Attributes:
        units: in each place of the fullest's; None where the instance has nothing there, and passes on what is read.
            What they give is called as there.
        results: the variables of its outputs, so called.
        passed: by each variable that the fullest has and the instance has not, the one that is there instead.
    """

    units: tuple[Unit | None, ...]
    results: tuple[str, ...]
    passed: Mapping[str, str]


def align(draft: Draft, fullest: Draft) -> Aligned | None:
    """Put the units of an instance in the places of the fullest's; None where that cannot be.

    Units of one name belong together. Between those, an instance may have others that make no layer, each in the place
    of one that makes none either (`relu` for `hard_swish`): the last that there are. What is left over is left out.

    >>> from netspec.lowering.known import Given
    >>> from netspec.lowering.source import Assign, Name, call
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
    places = _places(draft.units, fullest.units)
    if places is None:
        return None
    passed: dict[str, str] = {}
    called: dict[str, str] = {}
    units: list[Unit | None] = []
    for own, unit in zip(places, fullest.units, strict=True):
        if own is not None and own.name == unit.name:
            units.append(_renamed(own, called))
            continue
        if unit.passes is None:
            return None
        source, target = unit.passes
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
    return Aligned(tuple(units), tuple(called.get(result, result) for result in draft.results), passed)


def _places(own: Sequence[Unit], fullest: Sequence[Unit]) -> list[Unit | None] | None:
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
        for free in range(place - 1, start - 1, -1):
            if others and _may_stand_for(others[-1], fullest[free]):
                found[free] = others.pop()
        if others or place < start:
            return None
        if unit:
            found[place] = unit
        start = place + 1
    return found


def _may_stand_for(own: Unit, unit: Unit) -> bool:
    return own.passes is not None and unit.passes is not None and not own.setup and not unit.setup


def _renamed(unit: Unit, called: Mapping[str, str]) -> Unit:
    if not called:
        return unit
    return replace(unit, run=tuple(rename(statement, called) for statement in unit.run))
