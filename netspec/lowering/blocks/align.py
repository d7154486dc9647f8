"""Alignment of an instance of a block with the fullest one: which of its units takes which place."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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
    >>> from netspec.lowering.python.source import Name, call
    >>> from netspec.lowering.python.statements import Assign
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
    return None if places is None else _Alignment(draft, fullest, places).aligned()


class _Alignment:
    """The alignment of an instance whose units have their places: what replaces the variables of the others."""

    def __init__(self, draft: Draft, fullest: Draft, places: Sequence[Unit | None]) -> None:
        self._draft, self._fullest, self._places = draft, fullest, places
        inputs = zip(fullest.inputs, draft.inputs, strict=False)
        self._passed = {theirs: own for theirs, own in inputs if theirs != own}
        self._lacking: set[str] = set()  # outputs of the fullest that the instance does not compute
        self._renamed: dict[str, str] = {}  # variables of the instance → those of the fullest
        self._sources: dict[str, str] = {}

    def aligned(self) -> Aligned | None:
        """The instance over the variables of the fullest; None if a unit cannot be lacking, or take its place."""
        units: list[Unit | None] = []
        for unit, model in zip(self._places, self._fullest.units, strict=True):
            if unit is None and not self._lacks(model):
                return None
            if unit is not None and unit.name != model.name and not self._replaces(unit, model):
                return None
            units.append(unit and _rename_run(unit, self._renamed))
        results = tuple(self._renamed.get(result, result) for result in self._draft.results)
        return Aligned(tuple(units), results, self._passed, self._sources)

    def _lacks(self, model: Unit) -> bool:
        """Pass on an input of a unit of the fullest in place of its output; False if that cannot be."""
        if model.is_empty:
            return True
        if model.merges is not None:
            inputs, target = model.merges
            source = self._sources[target] = self._passed_on(inputs, target)
        elif model.passes is not None:
            source, target = model.passes
        else:
            return False
        self._passed[target] = self._passed.get(source, source)
        self._lacking.add(target)
        return True

    def _replaces(self, unit: Unit, model: Unit) -> bool:
        """Give the output of a unit the variable of that in whose place it is; False if they read different values."""
        assert unit.passes is not None and model.passes is not None  # noqa: PT018, S101 # else it would have no place
        (read, output), (source, target) = unit.passes, model.passes
        if self._renamed.get(read, read) != self._passed.get(source, source):
            return False
        self._renamed[output] = target
        return True

    def _passed_on(self, inputs: Sequence[str], target: str) -> str:
        """The input of a lacking merge that the instance reads instead; else the first that it has."""
        read = self._read_instead(target)
        candidates = (
            *(each for each in inputs if self._passed.get(each, each) == read),
            *(each for each in inputs if each not in self._lacking),
        )
        return next(iter(candidates), inputs[0])

    def _read_instead(self, variable: str) -> str:
        """The variable that the instance reads, or returns, in place of one of the fullest; empty if not known."""
        read: list[tuple[Sequence[str], Sequence[str]]] = [(self._fullest.results, self._draft.results)]
        for model, unit in zip(self._fullest.units, self._places, strict=True):
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
