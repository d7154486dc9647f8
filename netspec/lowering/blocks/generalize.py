"""Deriving one class or function from several instances of a block: numbers that differ become parameters.

Instances share code if a backend emits the same statements for them, up to numbers. So the nodes decide, after all
passes, and not the spec.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from netspec.lowering.blocks.align import Group, align
from netspec.lowering.blocks.branches import idle_in, joined_in, output_without
from netspec.lowering.blocks.forms import Form, Forms
from netspec.lowering.blocks.kinds import Kinds, kinds_of
from netspec.lowering.blocks.known import ABSENT
from netspec.lowering.blocks.parameters import ParameterNaming
from netspec.lowering.blocks.places import Place
from netspec.lowering.blocks.template import Draft, Signatures, Template, Unit, signature_of
from netspec.lowering.python.rewrite import children_of, functions_in, names_in, with_children
from netspec.lowering.python.source import (
    Assign,
    Call,
    Conditional,
    Expression,
    Literal,
    Name,
    Repeated,
    Statement,
    TupleOf,
)

MOST: Final = 2  # alternatives in one place of a block, including none: a choice between more is hard to read


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

        Larger drafts come first, so that every group is founded by its fullest one.
        """
        self._forms.clear()
        order = sorted(range(len(drafts)), key=lambda index: -len(drafts[index].units))
        by_results: dict[int, list[Group]] = {}  # groups by the number of outputs
        for index in order:
            groups = by_results.setdefault(len(drafts[index].results), [])
            if not any(self._join(index, drafts[index], group) for group in groups):
                groups.append(Group(drafts[index]))
                self._join(index, drafts[index], groups[-1])
        found = sorted((group for groups in by_results.values() for group in groups), key=lambda g: sorted(g.members))
        return [(tuple(sorted(group.members)), self._template(drafts, group)) for group in found]

    def _join(self, index: int, draft: Draft, group: Group) -> bool:
        """Add a draft to a group if it fits: it may lack units of the fullest, or have others in their places."""
        aligned = align(draft, group.fullest)
        if aligned is None:
            return False
        results = tuple(aligned.passed.get(result, result) for result in group.fullest.results)
        if results != aligned.results:
            return False
        present = {unit.name for unit in aligned.units if unit is not None}
        others: dict[tuple[int, str], Form] = {}
        for place, (unit, model) in enumerate(zip(aligned.units, group.fullest.units, strict=True)):
            if unit is not None and unit.name == model.name:
                if self._forms.of(unit) != self._forms.of(model, aligned.passed):
                    return False
            elif unit is not None:
                others[place, unit.name] = self._forms.of(unit)
            elif model.pads in present and not _may_be_unpadded(model.pads, draft, group.fullest):
                return False
        if any(group.others.get(key, form) != form for key, form in others.items()):
            return False
        if any(group.sources.get(target, source) != source for target, source in aligned.sources.items()):
            return False
        names = [known | {unit.name if unit else ""} for known, unit in zip(group.names, aligned.units, strict=True)]
        if any(len(known) > MOST for known in names):
            return False
        group.names = names
        group.others.update(others)
        group.sources.update(aligned.sources)
        group.members[index] = aligned
        return True

    def _template(self, drafts: Sequence[Draft], group: Group) -> Template:
        order = list(group.members)  # the fullest first, whose names and inputs decide for all
        fullest = group.fullest
        if len(order) == 1:
            return Template(fullest.units)
        given = [drafts[index].given for index in order]
        rows = [member.units for member in group.members.values()]
        joined = joined_in(fullest, group.sources)
        idle = idle_in(fullest, [*group.members.values()], joined)

        def share(naming: ParameterNaming) -> list[Unit]:
            return [
                self._unit(
                    unit, [row[place] for row in rows], naming, output_without(unit, group.sources, idle=place in idle)
                )
                for place, unit in enumerate(fullest.units)
            ]

        naming = ParameterNaming(given, self._reserved, self._kinds_within(fullest))
        units = share(naming)
        if naming.has_postponed():  # a later unit has added what an earlier one could have been expressed by
            naming = ParameterNaming(given, self._reserved, self._kinds_within(fullest), naming.names())
            units = share(naming)
        positions = sorted(range(len(order)), key=order.__getitem__)
        parameters = [replace(p, values=tuple(p.values[each] for each in positions)) for p in naming.parameters()]
        return Template(tuple(units), tuple(parameters), naming.computed(), positions.index(0), joined)

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

    def _unit(
        self, fullest: Unit, units: Sequence[Unit | None], naming: ParameterNaming, otherwise: Name | None
    ) -> Unit:
        """The shared unit of a place, with parameters; under a condition if some instances lack it.

        Args:
            fullest: the unit of the fullest instance.
            units: the unit of each instance, None if it lacks one.
            naming: where parameters are added.
            otherwise: the variable that replaces the output if the unit is not run; None to run `absent` instead.
        """
        if fullest.is_empty:
            return fullest
        if any(unit is not None and unit.name != fullest.name for unit in units):
            return self._choice(fullest, units, naming)
        condition: Expression | None = None
        if any(unit is None for unit in units):
            condition = naming.flag(fullest.name, tuple(unit is not None for unit in units), fullest.pads)
        lacking = [unit is None for unit in units]
        setup = []
        channels = naming.input_channels({name for statement in fullest.run for name in names_in(statement.value)})
        for index, layer in enumerate(fullest.setup):
            values = [None if unit is None else unit.setup[index].value for unit in units]
            value = self._walk(
                values, naming, Place(fullest.name, layer.target.rpartition(".")[2], input_channels=channels)
            )
            if not naming.repeats_none(value, lacking):
                value = _where(condition, value, self._absent)
            setup.append(replace(layer, value=value))
        run: list[Statement] = []
        for index, statement in enumerate(fullest.run):
            versions = [None if unit is None else unit.run[index] for unit in units]
            value = self._walk(
                [None if version is None else version.value for version in versions],
                naming,
                Place(fullest.pads or fullest.name, fullest.name),
            )
            if not _is_passed_on(statement, value) and not naming.repeats_none(value, lacking):
                value = _where(condition, value, otherwise)
            run.append(replace(statement, value=value))
            if condition is not None or len({_comment(version) for version in versions if version is not None}) > 1:
                run[-1] = _without_comment(run[-1])
        return replace(fullest, setup=tuple(setup), run=tuple(run))

    def _choice(self, fullest: Unit, units: Sequence[Unit | None], naming: ParameterNaming) -> Unit:
        """The shared unit of a place where instances have different units: a conditional expression over them."""
        (statement,) = fullest.run
        assert isinstance(statement, Assign)  # noqa: S101 # units that replace one another have a single output
        present = dict.fromkeys(unit.name for unit in units if unit is not None)
        has = {name: tuple(unit is not None and unit.name == name for unit in units) for name in present}
        names = sorted(has, key=lambda name: not naming.has_condition(name, has[name]))
        values = {
            name: self._walk(
                [None if unit is None or unit.name != name else unit.run[0].value for unit in units],
                naming,
                Place(name, name),
            )
            for name in names
        }
        if None in units:
            assert fullest.passes is not None  # noqa: S101 # else no instance could lack it
            value: Expression = Name(fullest.passes[0])
        else:
            value = values[names.pop()]
        for name in reversed(names):
            value = Conditional(values[name], naming.flag(name, has[name]), value)
        return replace(fullest, run=(_without_comment(replace(statement, value=value)),))

    def _walk(self, expressions: Sequence[Expression | None], naming: ParameterNaming, place: Place) -> Expression:
        """The shared expression, with parameters in place of numbers that differ; None for an instance without one."""
        present = [expression for expression in expressions if expression is not None]
        first = present[0]
        if len(present) == len(expressions) and all(other == first for other in present[1:]):
            return first
        if isinstance(first, Literal):
            values = tuple(e.value if isinstance(e, Literal) else ABSENT for e in expressions)
            if all(other == first for other in present[1:]):
                return naming.spec_expression(values, place) or first
            return naming.parameter(values, place)
        if isinstance(first, Call):
            return self._call([e if isinstance(e, Call) else None for e in expressions], naming, place)
        if isinstance(first, Repeated):
            place = replace(place, role="repeat", kinds=kinds_of("repeat"))
        children = [None if e is None else children_of(e) for e in expressions]
        shared = [
            self._walk([None if row is None else row[index] for row in children], naming, place)
            for index in range(len(children_of(first)))
        ]
        return with_children(first, shared)

    def _call(self, calls: Sequence[Call | None], naming: ParameterNaming, place: Place) -> Call:
        """The shared call; an optional argument is written if any instance passes it."""
        present = [call for call in calls if call is not None]
        first = present[0]
        signature = signature_of(first.function, self._signatures)
        optional, roles = signature.optional or {}, signature.positional
        function = self._walk([None if call is None else call.function for call in calls], naming, place)

        def at(role: str) -> Place:
            return replace(place, role=role, kinds=signature.kinds_of(role), default=optional.get(role))

        args_of = [None if call is None else call.args for call in calls]
        if signature.together and len({*filter(None, args_of)}) > 1:
            args = self._together(args_of, naming, at(signature.together))
        else:
            args = tuple(
                self._walk(
                    [None if row is None else row[index] for row in args_of],
                    naming,
                    at(roles[index]) if index < len(roles) else Place(place.member, place.owner),
                )
                for index in range(len(first.args))
            )
        kwargs_of = [None if call is None else dict(call.kwargs) for call in calls]
        kwargs = []
        for key in _keyword_order([row for row in kwargs_of if row is not None], list(optional)):
            values = [None if row is None else row.get(key, Literal(optional.get(key))) for row in kwargs_of]
            kwargs.append((key, self._walk(values, naming, at(key))))
        return Call(function, args, tuple(kwargs))

    def _together(
        self, args_of: Sequence[tuple[Expression, ...] | None], naming: ParameterNaming, place: Place
    ) -> tuple[Expression, ...]:
        """The shared arguments of a call that takes numbers one by one or as a tuple: a tuple if it is a parameter."""
        values = [
            None if args is None else Literal(tuple(arg.value for arg in args if isinstance(arg, Literal)))
            for args in args_of
        ]
        shared = self._walk(values, naming, place)
        return shared.items if isinstance(shared, TupleOf) else (shared,)


def _keyword_order(calls: Sequence[Mapping[str, Expression]], optional: Sequence[str]) -> list[str]:
    """The keywords of all calls: required ones, then optional ones in their order; a common last one stays last."""
    keys = dict.fromkeys(key for kwargs in sorted(calls, key=lambda kwargs: -len(kwargs)) for key in kwargs)
    last = {list(kwargs)[-1] for kwargs in calls if kwargs}
    final = last.pop() if len(last) == 1 else None
    return sorted(keys, key=lambda key: (key == final, optional.index(key) if key in optional else -1))


def _may_be_unpadded(member: str, draft: Draft, fullest: Draft) -> bool:
    """Whether an expression of the spec pads a member in the fullest instance, and does not in the draft."""
    return fullest.given.pads(member) is True and draft.given.pads(member) is False


def _is_passed_on(statement: Statement, value: Expression) -> bool:
    """Whether a statement only assigns a variable, as before a loop; it may run unconditionally."""
    return isinstance(statement, Assign) and isinstance(value, Name)


def _where(condition: Expression | None, value: Expression, otherwise: Expression | None) -> Expression:
    """`value if condition else otherwise`; only the value if there is no condition or no alternative."""
    return value if condition is None or otherwise is None else Conditional(value, condition, otherwise)


def _without_comment(statement: Statement) -> Statement:
    return replace(statement, comment="") if isinstance(statement, Assign) else statement


def _comment(statement: Statement) -> str:
    return statement.comment if isinstance(statement, Assign) else ""
