"""Branches of a block that some instances lack: what is passed on in place of a merge, and what then is not run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from netspec.lowering.blocks.align import Aligned
from netspec.lowering.blocks.template import Draft, Unit
from netspec.lowering.python.rewrite import names_in
from netspec.lowering.python.source import Name


def joined_in(fullest: Draft, sources: Mapping[str, str]) -> dict[str, str]:
    """What may be called as what is passed on in its place, by its variable: nothing reads that one later.

    Args:
        fullest: the instance that has all units.
        sources: what is passed on where a merge is left out, by the variable of the merge.
    """
    joined = {}
    for place, unit in enumerate(fullest.units):
        target = unit.merges[1] if unit.merges else ""
        later = {name for own in fullest.units[place + 1 :] for name in _read_by(own)}
        if target in sources and sources[target] not in {*later, *fullest.results}:
            joined[target] = sources[target]
    return joined


def idle_in(fullest: Draft, members: Sequence[Aligned], joined: Mapping[str, str]) -> set[int]:
    """The places of units that give nothing where they are lacking, since what alone would read it is lacking too.

    So it is with a branch that is merged right after it: both stand under one condition.
    """
    units = fullest.units
    lacks = [[member.units[place] is None for member in members] for place in range(len(units))]
    idle: set[int] = set()
    for place in range(len(units) - 2, -1, -1):
        given = _given_by(units[place])
        merges = units[place + 1].merges
        ends = merges is not None and joined.get(merges[1], given) != given  # it is merged into another
        alone = [other for other, unit in enumerate(units) if given in _read_by(unit)] == [place + 1]
        together = any(lacks[place]) and lacks[place] == lacks[place + 1]
        if given and alone and together and (ends or place + 1 in idle) and given not in fullest.results:
            idle.add(place)
    return idle


def given_without(unit: Unit, sources: Mapping[str, str], *, idle: bool) -> Name | None:
    """What stands for what a unit gives, in an instance without it; None where a layer that passes it on is run.

    Of a unit that is idle it is what was there before, if anything: nobody reads it.
    """
    if idle:
        return Name(_given_by(unit))
    if unit.merges is not None:
        reads, target = unit.merges
        return Name(sources.get(target, reads[0]))
    return Name(unit.passes[0]) if unit.passes is not None and not unit.setup else None


def _given_by(unit: Unit) -> str:
    """The variable that a unit gives; empty if it is not one."""
    given = unit.passes or unit.merges
    return given[1] if given else ""


def _read_by(unit: Unit) -> set[str]:
    return {name for statement in unit.run for name in names_in(statement.value)}
