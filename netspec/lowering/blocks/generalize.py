"""Deriving one class or function from several instances of a block: numbers that differ become parameters.

Instances share code if a backend emits the same statements for them, up to numbers. So the nodes decide, after all
passes, and not the spec. The spec gives the names, and tells which instances have what others lack.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from netspec.lowering.blocks.branches import idle_in, joined_in, output_without
from netspec.lowering.blocks.conditions import UntoldError
from netspec.lowering.blocks.forms import Forms
from netspec.lowering.blocks.groups import Group
from netspec.lowering.blocks.kinds import Kinds, kinds_of
from netspec.lowering.blocks.numbers import Numbers
from netspec.lowering.blocks.reads import Reads
from netspec.lowering.blocks.shared import SharedUnits
from netspec.lowering.blocks.template import Draft, Signatures, Template, Unit
from netspec.lowering.python.rewrite import functions_in
from netspec.lowering.python.source import Expression


class Generalizer:
    """Groups drafts that can share source, and derives a template for each group.

    Args:
        signatures: returns the signature of a function or class that emitted source calls, by name.
        reserved: names that no parameter may have.
        absent: an identity layer, used in place of a layer that an instance lacks.
    """

    def __init__(self, signatures: Signatures, reserved: Iterable[str], absent: Expression | None = None) -> None:
        self._signatures = signatures
        self._reserved = frozenset(reserved)
        self._absent = absent
        self._forms = Forms(signatures)

    def group(self, drafts: Sequence[Draft]) -> list[tuple[tuple[int, ...], Template]]:
        """Group drafts that can share source; return the indices and the template of each group.

        Larger drafts come first, so that every group is founded by its fullest one; of equal ones, that which receives
        the most values.
        """
        self._forms.clear()
        found: list[tuple[tuple[int, ...], Template]] = []
        for group in self._groups(drafts, range(len(drafts)), told=True):
            try:
                found.append((tuple(sorted(group.members)), self._template(drafts, group)))
            except UntoldError:  # a pass may have changed some of them
                parts = self._groups(drafts, sorted(group.members), told=False)
                found += [(tuple(sorted(part.members)), self._template(drafts, part)) for part in parts]
        return sorted(found, key=lambda item: item[0])

    def _groups(self, drafts: Sequence[Draft], indices: Sequence[int], *, told: bool) -> list[Group]:
        """Group some of the drafts; see `Group` for `told`."""
        by_results: dict[int, list[Group]] = {}  # groups by the number of outputs
        for index in sorted(indices, key=lambda i: (-len(drafts[i].units), -len({*drafts[i].inputs}))):
            groups = by_results.setdefault(len(drafts[index].results), [])
            if any(group.join(index, drafts[index]) for group in groups):
                continue
            for place, group in enumerate(groups):
                if (extended := group.extended(index, drafts[index], drafts)) is not None:
                    groups[place] = extended
                    break
            else:
                groups.append(Group(drafts[index], self._forms, told=told))
                groups[-1].join(index, drafts[index])
        return [group for groups in by_results.values() for group in groups]

    def _template(self, drafts: Sequence[Draft], group: Group) -> Template:
        """The source that the instances of a group share, with the parameters in the order of the drafts.

        Raises:
            UntoldError: instances differ, and nothing in the spec tells which of them have what.
        """
        order = list(group.members)  # the fullest first, whose names and inputs decide for all
        fullest = group.fullest
        if len(order) == 1:
            return Template(fullest.units, fullest.results)
        given = [drafts[index].given for index in order]
        members = [*group.members.values()]
        # Where instances differ in what they read, each value stays in a variable of its own.
        joined = {} if group.is_mixed else joined_in(fullest, group.sources)
        idle = set() if group.is_mixed else idle_in(fullest, [member.units for member in members], joined)

        def share(numbers: Numbers) -> list[Unit]:
            reads = Reads(fullest, [member.passed for member in members], numbers.conditions)
            shared = SharedUnits(numbers, reads, self._signatures, self._absent)
            return [
                shared.of(
                    unit,
                    [(member.units[place], member.alternatives[place]) for member in members],
                    output_without(unit, group.sources, idle=place in idle),
                )
                for place, unit in enumerate(fullest.units)
            ]

        numbers = Numbers(given, self._reserved, self._kinds_within(fullest))
        units = share(numbers)
        if numbers.has_postponed():  # a later unit has added what an earlier one could have been expressed by
            numbers = Numbers(given, self._reserved, self._kinds_within(fullest), numbers.used.names())
            units = share(numbers)
        positions = sorted(range(len(order)), key=order.__getitem__)
        parameters = [replace(p, values=tuple(p.values[each] for each in positions)) for p in numbers.used.parameters()]
        return Template(
            tuple(units),
            fullest.results,
            tuple(parameters),
            numbers.used.computed(),
            fullest=positions.index(0),
            joined=joined,
            is_mixed=group.is_mixed,
        )

    def _kinds_within(self, draft: Draft) -> Callable[[str, str], Kinds]:
        """A function from a member and its attribute to kinds; for a nested block, those of its own parameter."""
        units = {unit.name: unit for unit in draft.units}

        def kinds(member: str, attribute: str) -> Kinds:
            unit = units.get(member)
            for statement in (*unit.setup, *unit.run) if unit else ():
                for function in functions_in(statement.value):
                    if known := (self._signatures(function).kinds or {}).get(attribute):
                        return known
            return kinds_of(attribute)

        return kinds
