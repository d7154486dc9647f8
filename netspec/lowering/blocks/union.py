"""The union of instances of which each has units that another lacks: a draft with the units of both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise

from netspec.lowering.blocks.template import Draft, Unit
from netspec.lowering.python.rewrite import rename_in


def union(draft: Draft, other: Draft) -> Draft | None:
    """A draft with the units of two; None if the units that they share are in another order.

    Between shared units come those of the first, then those of the second. Where both then follow the same value, the
    second's follow the first's, which pass it on where they are lacking: `c`, `m` becomes `c(x)`, then `m` of that.

    >>> from netspec.lowering.blocks.known import Given
    >>> from netspec.lowering.python.source import Name, call
    >>> from netspec.lowering.python.statements import Assign
    >>> def draft(*names):
    ...     units = [
    ...         Unit(name, (), (Assign(name, call(f"F.{name}", Name(read))),), (read, name))
    ...         for name, read in zip(names, ["x", *names])
    ...     ]
    ...     return Draft(tuple(units), (names[-1],), Given())
    >>> [(unit.name, unit.passes) for unit in union(draft("max", "relu"), draft("mean", "relu")).units]
    [('max', ('x', 'max')), ('mean', ('max', 'mean')), ('relu', ('mean', 'relu'))]
    >>> union(draft("relu", "max"), draft("max", "relu")) is None
    True
    """
    shared = {unit.name for unit in draft.units} & {unit.name for unit in other.units}
    ours, theirs = list(_gaps(draft.units, shared)), list(_gaps(other.units, shared))
    if [end and end.name for _, end in ours] != [end and end.name for _, end in theirs]:
        return None
    units: list[Unit] = []
    names: dict[str, str] = {}  # what units after the gap read instead
    for (first, end), (second, _) in zip(ours, theirs, strict=True):
        before = [_renamed(unit, names) for unit in first]
        (source, last), (follows, end_of_second) = _chain(before), _chain(second)
        if source and source == follows:
            names[last] = end_of_second
        units += [*before, *(_renamed(unit, {source: last} if last in names else {}) for unit in second)]
        if end is not None:
            units.append(_renamed(end, names))
    return replace(draft, units=tuple(units), results=tuple(names.get(result, result) for result in draft.results))


def _gaps(units: tuple[Unit, ...], shared: set[str]) -> Iterator[tuple[list[Unit], Unit | None]]:
    """The units before each shared one, and that one; last, the units after all of them, and None."""
    before: list[Unit] = []
    for unit in units:
        if unit.name in shared:
            yield before, unit
            before = []
        else:
            before.append(unit)
    yield before, None


def _chain(units: list[Unit]) -> tuple[str, str]:
    """The value that units in a row begin with, and the one that they end with; empty if they are no row."""
    passes = [unit.passes for unit in units if unit.passes is not None]
    if not passes or len(passes) < len(units) or any(a[1] != b[0] for a, b in pairwise(passes)):
        return "", ""
    return passes[0][0], passes[-1][1]


def _renamed(unit: Unit, names: Mapping[str, str]) -> Unit:
    """The unit with some of the variables that it reads replaced."""
    if not names:
        return unit
    run = tuple(replace(statement, value=rename_in(statement.value, names)) for statement in unit.run)
    passes = unit.passes and (names.get(unit.passes[0], unit.passes[0]), unit.passes[1])
    merges = unit.merges and (tuple(names.get(name, name) for name in unit.merges[0]), unit.merges[1])
    return replace(unit, run=run, passes=passes, merges=merges)
