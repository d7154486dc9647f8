"""Groups of instances that can share a class or function, and what each of them has in the places of the fullest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from netspec.lowering.blocks.align import Aligned, align
from netspec.lowering.blocks.forms import Form, Forms
from netspec.lowering.blocks.template import MARK, Draft, Unit, variables_in
from netspec.lowering.blocks.union import union
from netspec.lowering.python.rewrite import rename
from netspec.lowering.python.statements import Assign

FEW: Final = 2


class Alternative(NamedTuple):
    """A unit that may stand in a place: its name and its form."""

    name: str
    form: Form


@dataclass(frozen=True, slots=True)
class Member:
    """An instance in a group, with its variables renamed to those of the fullest one.

    Attributes:
        units: its unit in each place; None if it has none there.
        alternatives: which of the alternatives of each place it has.
        passed: for each variable of the fullest that the instance lacks, the variable that it has instead.
        reads_alike: whether its units read what those of the fullest do.
    """

    units: tuple[Unit | None, ...]
    alternatives: tuple[Alternative | None, ...]
    passed: Mapping[str, str]
    reads_alike: bool


class _Fitted(NamedTuple):
    """A unit in the place of the fullest's, over its variables, which alternative it is, and whether it reads alike."""

    unit: Unit
    alternative: Alternative
    reads_alike: bool = True


class Group:
    """Instances that share their source.

    Args:
        fullest: the instance that has a unit in each place, whose variables and inputs hold for all.
        forms: computes the forms of units.
        told: whether the spec is to tell who has which alternative, whatever it is. Else a place has at most two, units
            of distinct names or none, between which a switch chooses.
        united: whether the fullest is the union of several instances, of which none has all units.

    Attributes:
        members: the instances by index, the fullest first.
        sources: for the output of each merge that an instance lacks, the input that is passed on.
    """

    def __init__(self, fullest: Draft, forms: Forms, *, told: bool, united: bool = False) -> None:
        self.fullest = fullest
        self.told = told
        self.members: dict[int, Member] = {}
        self.sources: dict[str, str] = {}
        self._forms, self._united = forms, united

    @property
    def is_mixed(self) -> bool:
        """Whether no instance has all units, or instances differ in what a unit reads."""
        return self._united or not all(member.reads_alike for member in self.members.values())

    def join(self, index: int, draft: Draft) -> bool:
        """Add an instance, if it fits: it may lack units of the fullest, or have others in their places."""
        aligned = align(draft, self.fullest)
        if aligned is None or len(draft.inputs) != len(self.fullest.inputs):
            return False
        if tuple(aligned.passed.get(result, result) for result in self.fullest.results) != aligned.results:
            return False
        if any(self.sources.get(target, source) != source for target, source in aligned.sources.items()):
            return False
        member = self._member(draft, aligned)
        if member is None or not (self.told or self._are_few(member)):
            return False
        self.sources.update(aligned.sources)
        self.members[index] = member
        return True

    def _are_few(self, member: Member) -> bool:
        """Whether each place has at most two alternatives, none included, if a member is added."""
        rows = [each.alternatives for each in (*self.members.values(), member)]
        return all(len(set(place)) <= FEW for place in zip(*rows, strict=True))

    def _member(self, draft: Draft, aligned: Aligned) -> Member | None:
        """What an instance has in each place; None if one of its units does not fit there."""
        present = {unit.name for unit in aligned.units if unit is not None}
        row: list[_Fitted | None] = []
        for unit, model in zip(aligned.units, self.fullest.units, strict=True):
            if unit is None and model.pads in present and not _may_be_unpadded(model.pads, draft, self.fullest):
                return None
            fitted = None if unit is None else self._fitted(unit, model, aligned)
            if unit is not None and fitted is None:
                return None
            row.append(fitted)
        return Member(
            tuple(fitted and fitted.unit for fitted in row),
            tuple(fitted and fitted.alternative for fitted in row),
            aligned.passed,
            all(fitted is None or fitted.reads_alike for fitted in row),
        )

    def extended(self, index: int, draft: Draft, drafts: Sequence[Draft]) -> Group | None:
        """The group with places for units that it lacks, and with an instance that has them; None if that cannot be."""
        both = union(self.fullest, draft) if self.told else None
        if both is None:
            return None
        group = Group(both, self._forms, told=True, united=True)
        return group if all(group.join(each, drafts[each]) for each in (*self.members, index)) else None

    def _fitted(self, unit: Unit, model: Unit, aligned: Aligned) -> _Fitted | None:
        """A unit in the place of the fullest's; None if it does not fit there."""
        form = self._forms.of(unit)
        if unit.name != model.name:
            other = _reading_as(model, unit, aligned.passed)
            return _Fitted(other, Alternative(unit.name, self._forms.of(other)))
        same = Alternative(model.name, self._forms.of(model))
        if form == self._forms.of(model, aligned.passed):
            return _Fitted(_reading_as(model, unit, aligned.passed), same)
        if not self.told:
            return None
        if self._forms.of(unit, _masked(unit)) == self._forms.of(model, _masked(model)):
            return _Fitted(_reading_as(model, unit, aligned.passed), same, reads_alike=False)
        read = {name for statement in model.run for name in variables_in(statement)}
        names = {aligned.passed[name]: name for name in read if aligned.passed.get(name, name) not in read}
        other = replace(unit, run=tuple(rename(statement, names) for statement in unit.run)) if names else unit
        return _Fitted(other, Alternative(unit.name, self._forms.of(other))) if _may_differ(other, model) else None


def _masked(unit: Unit) -> dict[str, str]:
    """One name for all variables that a unit reads."""
    return {name: f"{MARK}any" for statement in unit.run for name in variables_in(statement)}


def _reading_as(model: Unit, unit: Unit, passed: Mapping[str, str]) -> Unit:
    """The unit of an instance, with variables of the fullest's where they hold what it reads."""
    pairs = {
        (theirs, ours if passed.get(ours, ours) == theirs else theirs)
        for statement, other in zip(unit.run, model.run, strict=False)
        for theirs, ours in zip(variables_in(statement), variables_in(other), strict=False)
    }
    names = dict(pairs)
    if len(names) < len(pairs) or all(theirs == ours for theirs, ours in pairs):
        return unit
    return replace(unit, run=tuple(rename(statement, names) for statement in unit.run))


def _may_differ(unit: Unit, model: Unit) -> bool:
    """Whether a conditional expression can choose between two units of the same member, for they read and set the same.

    So it is with an op, an attribute or an inner block that an argument chooses, or a layer that depends on groups.
    """
    if len(unit.run) != len(model.run) or len({layer.target for layer in (*unit.setup, *model.setup)}) > 1:
        return False
    return all(
        isinstance(statement, Assign)
        and isinstance(other, Assign)
        and statement.target == other.target
        and {*variables_in(statement)} == {*variables_in(other)}
        for statement, other in zip(unit.run, model.run, strict=True)
    )


def _may_be_unpadded(member: str, draft: Draft, fullest: Draft) -> bool:
    """Whether an expression of the spec pads a member in the fullest instance, and does not in the draft."""
    return fullest.given.pads(member) is True and draft.given.pads(member) is False
