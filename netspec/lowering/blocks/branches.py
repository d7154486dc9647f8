"""Branches of a block that some instances lack: what replaces their merge, and which of their units are not run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from netspec.lowering.blocks.template import Draft, Unit
from netspec.lowering.python.rewrite import names_in
from netspec.lowering.python.source import Name


def joined_in(fullest: Draft, sources: Mapping[str, str]) -> dict[str, str]:
    """The outputs of merges that can share the variable of the input passed on in their place, with that input.

    They can if nothing reads the input after the merge.

    Args:
        fullest: the instance that has all units.
        sources: the input that is passed on where a merge is lacking, by the output of the merge.
    """
    joined = {}
    for place, unit in enumerate(fullest.units):
        target = unit.merges[1] if unit.merges else ""
        read_later = {name for later in fullest.units[place + 1 :] for name in _inputs(later)}
        if target in sources and sources[target] not in {*read_later, *fullest.results}:
            joined[target] = sources[target]
    return joined


def idle_in(fullest: Draft, rows: Sequence[Sequence[Unit | None]], joined: Mapping[str, str]) -> set[int]:
    """The places of units whose output is not needed where they are lacking, for its only reader is lacking too.

    These are the units of a branch that is merged right after it: branch and merge are under one condition.

    Args:
        fullest: the instance that has all units.
        rows: the unit of each instance in each place; None if it lacks one.
        joined: the result of `joined_in`.
    """
    units = fullest.units
    lacking = [[row[place] is None for row in rows] for place in range(len(units))]
    idle: set[int] = set()
    for place in range(len(units) - 2, -1, -1):
        output = _output(units[place])
        merges = units[place + 1].merges
        merged = merges is not None and joined.get(merges[1], output) != output  # into another variable
        sole = [other for other, unit in enumerate(units) if output in _inputs(unit)] == [place + 1]
        together = any(lacking[place]) and lacking[place] == lacking[place + 1]
        if output and sole and together and (merged or place + 1 in idle) and output not in fullest.results:
            idle.add(place)
    return idle


def output_without(unit: Unit, sources: Mapping[str, str], *, idle: bool) -> Name | None:
    """The variable that replaces the output of a unit in an instance without it; None if an identity layer is run.

    For an idle unit it is the output itself, which keeps its value, if it has one: nothing reads it.
    """
    if idle:
        return Name(_output(unit))
    if unit.merges is not None:
        inputs, target = unit.merges
        return Name(sources.get(target, inputs[0]))
    return Name(unit.passes[0]) if unit.passes is not None and not unit.setup else None


def _output(unit: Unit) -> str:
    """The output variable of a unit; empty if it does not have exactly one."""
    passed = unit.passes or unit.merges
    return passed[1] if passed else ""


def _inputs(unit: Unit) -> set[str]:
    """The variables that a unit reads."""
    return {name for statement in unit.run for name in names_in(statement.value)}
