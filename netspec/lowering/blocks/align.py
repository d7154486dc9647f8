"""Alignment of an instance of a block with the fullest one: which of its units takes which place."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from netspec.lowering.blocks.template import Draft, Unit
from netspec.lowering.python.rewrite import names_in, rename


@dataclass(frozen=True, slots=True)
class Aligned:
    """An instance, aligned with the fullest one and with its variables renamed to those of the fullest.

    Attributes:
        units: the unit in each place of the fullest; None if the instance has none there and passes the input on.
        results: the variables of its outputs.
        passed: for each variable of the fullest that the instance lacks, the variable that it has instead; so for the
            variable of an input that receives the value of an earlier one.
        sources: for the output of each merge that the instance lacks, the input that is passed on.
    """

    units: tuple[Unit | None, ...]
    results: tuple[str, ...]
    passed: Mapping[str, str]
    sources: Mapping[str, str]


def align(draft: Draft, fullest: Draft) -> Aligned | None:
    """Assign the units of an instance to places of the fullest; None if that is impossible.

    Units of the same name match. Between matching units, a unit without layers may take the place of another one
    without layers (`relu` of `hard_swish`), the nearest in the block. The instance lacks the units of all other places.
    If it lacks a merge, it passes on the input of the merge that it reads in its place.

    >>> from netspec.lowering.blocks.known import Given
    >>> from netspec.lowering.python.source import Assign, Name, call
    >>> def draft(*names):
    ...     inputs = ["x", *names]
    ...     units = [
    ...         Unit(name, (), (Assign(name, call(f"F.{name}", Name(read))),), (read, name))
    ...         for name, read in zip(names, inputs)
    ...     ]
    ...     return Draft(tuple(units), (inputs[-1],), Given())
    >>> aligned = align(draft("norm", "tanh"), draft("pad", "norm", "relu"))
    >>> [unit and unit.name for unit in aligned.units], aligned.results
    ([None, 'norm', 'tanh'], ('relu',))
    >>> align(draft("relu", "norm"), draft("pad", "norm", "relu")) is None
    True
    """
    places = _places(draft.units, fullest.units, draft.given.order)
    if places is None:
        return None
    passed = {theirs: ours for theirs, ours in zip(fullest.inputs, draft.inputs, strict=False) if theirs != ours}
    lacking: set[str] = set()
    renamed: dict[str, str] = {}  # variables of the instance → those of the fullest
    sources: dict[str, str] = {}
    units: list[Unit | None] = []
    for unit, model in zip(places, fullest.units, strict=True):
        if unit is not None and unit.name == model.name:
            units.append(_rename_run(unit, renamed))
            continue
        if unit is None and model.is_empty:
            units.append(None)
            continue
        if unit is None and model.merges is not None:
            inputs, target = model.merges
            read = _read_instead(target, draft, fullest, places)
            source = sources[target] = _passed_on(inputs, read, passed, lacking)
        elif model.passes is not None:
            source, target = model.passes
        else:
            return None
        if unit is None:
            passed[target] = passed.get(source, source)
            lacking.add(target)
            units.append(None)
            continue
        assert unit.passes is not None  # noqa: S101 # else it could not take the place of another
        read, output = unit.passes
        if renamed.get(read, read) != passed.get(source, source):
            return None
        renamed[output] = target
        units.append(_rename_run(unit, renamed))
    return Aligned(tuple(units), tuple(renamed.get(result, result) for result in draft.results), passed, sources)


def _passed_on(inputs: Sequence[str], read: str, passed: Mapping[str, str], lacking: Collection[str]) -> str:
    """The input of a lacking merge that an instance reads instead; else the first that it has."""
    candidates = (
        *(each for each in inputs if passed.get(each, each) == read),
        *(each for each in inputs if each not in lacking),
    )
    return next(iter(candidates), inputs[0])


def _read_instead(variable: str, draft: Draft, fullest: Draft, places: Sequence[Unit | None]) -> str:
    """The variable that an instance reads, or returns, in place of one of the fullest; empty if that is not known."""
    read: list[tuple[Sequence[str], Sequence[str]]] = [(fullest.results, draft.results)]
    for model, unit in zip(fullest.units, places, strict=True):
        if unit is not None and unit.name == model.name:
            pairs = zip(model.run, unit.run, strict=False)
            read += [([*names_in(theirs.value)], [*names_in(own.value)]) for theirs, own in pairs]
    found = (own[theirs.index(variable)] for theirs, own in read if variable in theirs and len(own) == len(theirs))
    return next(found, "")


def _places(units: Sequence[Unit], fullest: Sequence[Unit], order: Sequence[str]) -> list[Unit | None] | None:
    """The unit of an instance in each place; None if they are in another order, or one has no place."""
    known = {unit.name: place for place, unit in enumerate(fullest)}
    placed: list[Unit | None] = [None] * len(fullest)
    unmatched: list[Unit] = []  # since the last matching unit
    start = 0
    for unit in (*units, None):
        place = known.get(unit.name) if unit else len(fullest)
        if place is None:
            assert unit is not None  # noqa: S101 # the end has a place
            unmatched.append(unit)
            continue
        if place < start or not _place_unmatched(unmatched, range(start, place), fullest, placed, order):
            return None
        if unit:
            placed[place] = unit
        unmatched, start = [], place + 1
    return placed


def _place_unmatched(
    unmatched: Sequence[Unit], free: range, fullest: Sequence[Unit], placed: list[Unit | None], order: Sequence[str]
) -> bool:
    """Assign units to free places, from the last to the first; return whether there is a place for each."""
    for before, unit in reversed([*enumerate(unmatched)]):  # leave a place for each of the units `before` it
        fitting = [place for place in free[before:] if _may_replace(unit, fullest[place])]
        if not fitting:
            return False
        nearest = min(reversed(fitting), key=lambda place: _distance(unit.name, fullest[place].name, order))
        placed[nearest] = unit
        free = range(free.start, nearest)
    return True


def _distance(layer: str, other: str, order: Sequence[str]) -> float:
    """How far apart two layers are in the block; infinite if the spec's order does not have both."""
    return abs(order.index(layer) - order.index(other)) if {layer, other} <= {*order} else math.inf


def _may_replace(unit: Unit, other: Unit) -> bool:
    """Whether both units have one input and one output, and no layers."""
    return unit.passes is not None and other.passes is not None and not unit.setup and not other.setup


def _rename_run(unit: Unit, names: Mapping[str, str]) -> Unit:
    if not names:
        return unit
    return replace(unit, run=tuple(rename(statement, names) for statement in unit.run))
