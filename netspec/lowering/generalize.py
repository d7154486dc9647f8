"""One class or function for several instances of a block: what differs between them becomes parameters.

What a backend emits for an instance is taken as it is, and instances share their code where it is the same statements
up to numbers. So it is the nodes that decide, whatever passes have made of them, and not the spec.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from netspec.lowering.kinds import Kinds, kinds_of
from netspec.lowering.known import ABSENT
from netspec.lowering.parameters import ParameterNaming, Place
from netspec.lowering.rewrite import children_of, rename, with_children
from netspec.lowering.source import Assign, Call, Conditional, Expression, Literal, Name, Statement
from netspec.lowering.template import Draft, Signature, Signatures, Template, Unit


class Generalizer:
    """Finds what instances share.

    Args:
        signatures: of what emitted source calls, by name.
        reserved: names that no parameter may have.
        absent: the layer that stands for one that an instance lacks, and passes its input on.
    """

    def __init__(self, signatures: Signatures, reserved: Iterable[str], absent: Expression | None = None) -> None:
        self._signatures = signatures
        self._reserved = frozenset(reserved)
        self._absent = absent
        self._shapes: dict[int, tuple[Any, ...]] = {}  # of the units of drafts that are being grouped

    def group(self, drafts: Sequence[Draft]) -> list[tuple[tuple[int, ...], Template]]:
        """Drafts that can share, by position, each group with what it shares; the fullest decide."""
        self._shapes.clear()
        order = sorted(range(len(drafts)), key=lambda index: -len(drafts[index].units))
        groups: dict[int, list[list[int]]] = {}
        for index in order:
            known = groups.setdefault(len(drafts[index].results), [])
            for members in known:
                if self._fits(drafts[index], drafts[members[0]]):
                    members.append(index)
                    break
            else:
                known.append([index])
        found = sorted(tuple(sorted(members)) for same in groups.values() for members in same)
        return [(members, self._template([drafts[index] for index in members])) for members in found]

    def _fits(self, draft: Draft, fullest: Draft) -> bool:
        """Whether a draft is another one without some units that can be left out."""
        own = {unit.name: unit for unit in draft.units}
        kept: list[Unit] = []
        passed: dict[str, str] = {}
        for unit in fullest.units:
            if unit.name in own:
                kept.append(unit)
            elif unit.passes is None:
                return False
            else:
                source, target = unit.passes
                passed[target] = passed.get(source, source)
        if [unit.name for unit in kept] != [unit.name for unit in draft.units]:
            return False
        results = tuple(passed.get(result, result) for result in fullest.results)
        return results == draft.results and all(
            self._shape(own[unit.name], {}) == self._shape(unit, passed) for unit in kept
        )

    def _shape(self, unit: Unit, passed: Mapping[str, str]) -> tuple[Any, ...]:
        """What has to be the same of two units: all but numbers that can be parameters."""
        if passed:
            unit = replace(unit, run=tuple(rename(statement, passed) for statement in unit.run))
            return self._forms_of(unit)
        if id(unit) not in self._shapes:
            self._shapes[id(unit)] = self._forms_of(unit)
        return self._shapes[id(unit)]

    def _forms_of(self, unit: Unit) -> tuple[Any, ...]:
        return tuple((_targets(s), self._form(s.value)) for s in (*unit.setup, *unit.run))

    def _form(self, expression: Expression) -> Any:
        match expression:
            case Literal(value):
                return "number" if isinstance(value, bool | int | float | tuple) else value
            case Call(function, args, kwargs):
                optional = self._signature(function).optional or {}
                named = tuple(sorted((k, self._form(v)) for k, v in kwargs if k not in optional))
                return self._form(function), tuple(map(self._form, args)), named
        inner = children_of(expression)
        # With one literal in place of each part, what is left is what the expression is besides.
        return (with_children(expression, [Literal(0)] * len(inner)), *map(self._form, inner)) if inner else expression

    def _signature(self, function: Expression) -> Signature:
        return self._signatures(function.path) if isinstance(function, Name) else Signature()

    def _template(self, drafts: Sequence[Draft]) -> Template:
        order = sorted(range(len(drafts)), key=lambda index: -len(drafts[index].units))
        drafts = [drafts[index] for index in order]  # the fullest first: what it reads is what all of them read
        fullest = drafts[0]
        if len(drafts) == 1:
            return Template(fullest.units)
        naming = ParameterNaming([draft.given for draft in drafts], self._reserved, self._kinds_within(fullest))
        by_name = [{unit.name: unit for unit in draft.units} for draft in drafts]
        units = [self._unit(unit, [known.get(unit.name) for known in by_name], naming) for unit in fullest.units]
        positions = {index: position for position, index in enumerate(order)}
        parameters = [
            replace(p, values=tuple(p.values[positions[index]] for index in range(len(drafts))))
            for p in naming.parameters()
        ]
        return Template(tuple(units), tuple(parameters), naming.computed(), order[0])

    def _kinds_within(self, draft: Draft) -> Callable[[str, str], Kinds]:
        """The kinds of what a member is told, where that is an instance of a block: what the block makes of it."""
        units = {unit.name: unit for unit in draft.units}

        def kinds(member: str, attribute: str) -> Kinds:
            unit = units.get(member)
            for statement in (*unit.setup, *unit.run) if unit else ():
                for function in _called(statement.value):
                    if known := (self._signatures(function).kinds or {}).get(attribute):
                        return known
            return kinds_of(attribute)

        return kinds

    def _unit(self, fullest: Unit, own: Sequence[Unit | None], naming: ParameterNaming) -> Unit:
        """A unit with parameters; one that some instances lack is made, or run, where a parameter says so."""
        has: Expression | None = None
        if any(unit is None for unit in own):
            has = naming.flag(fullest.name, tuple(unit is not None for unit in own))
        setup = []
        for index, made in enumerate(fullest.setup):
            values = [None if unit is None else unit.setup[index].value for unit in own]
            value = self._walk(values, naming, Place(fullest.name, made.target.rpartition(".")[2]))
            setup.append(replace(made, value=_where(has, value, self._absent)))
        run: list[Statement] = []
        for index, statement in enumerate(fullest.run):
            same = [None if unit is None else unit.run[index] for unit in own]
            value = self._walk(
                [None if s is None else s.value for s in same], naming, Place(fullest.name, fullest.name)
            )
            if not setup and fullest.passes is not None:
                value = _where(has, value, Name(fullest.passes[0]))
            run.append(replace(statement, value=value))
            if has is not None or len({_comment(other) for other in same if other is not None}) > 1:
                run[-1] = _bare(run[-1])
        return replace(fullest, setup=tuple(setup), run=tuple(run))

    def _walk(self, expressions: Sequence[Expression | None], naming: ParameterNaming, place: Place) -> Expression:
        """The expression of all instances; None of those that have none."""
        present = [expression for expression in expressions if expression is not None]
        first = present[0]
        if len(present) == len(expressions) and all(other == first for other in present[1:]):
            return first
        if isinstance(first, Literal):
            values = tuple(e.value if isinstance(e, Literal) else ABSENT for e in expressions)
            if all(other == first for other in present[1:]):
                return naming.said(values, place) or first
            return naming.parameter(values, place)
        if isinstance(first, Call):
            return self._call([e if isinstance(e, Call) else None for e in expressions], naming, place)
        inner = [None if e is None else children_of(e) for e in expressions]
        parts = [
            self._walk([None if own is None else own[index] for own in inner], naming, place)
            for index in range(len(children_of(first)))
        ]
        return with_children(first, parts)

    def _call(self, calls: Sequence[Call | None], naming: ParameterNaming, place: Place) -> Call:
        present = [own for own in calls if own is not None]
        first = present[0]
        signature = self._signature(first.function)
        optional, roles = signature.optional or {}, signature.positional
        function = self._walk([None if own is None else own.function for own in calls], naming, place)

        def at(role: str) -> Place:
            return replace(place, role=role, kinds=signature.kinds_of(role), default=optional.get(role))

        args = tuple(
            self._walk(
                [None if own is None else own.args[index] for own in calls],
                naming,
                at(roles[index]) if index < len(roles) else Place(place.member, place.owner),
            )
            for index in range(len(first.args))
        )
        keys = dict.fromkeys(key for own in sorted(present, key=lambda own: -len(own.kwargs)) for key, _ in own.kwargs)
        order = list(optional)
        last = {list(dict(own.kwargs))[-1] for own in present if own.kwargs}
        after = last.pop() if len(last) == 1 else None  # what ends every call still does
        kwargs = []
        for key in sorted(keys, key=lambda key: (key == after, order.index(key) if key in optional else -1)):
            values = [None if own is None else dict(own.kwargs).get(key, Literal(optional.get(key))) for own in calls]
            kwargs.append((key, self._walk(values, naming, at(key))))
        return Call(function, args, tuple(kwargs))


def _where(has: Expression | None, value: Expression, otherwise: Expression | None) -> Expression:
    return value if has is None or otherwise is None else Conditional(value, has, otherwise)


def _called(expression: Expression) -> Iterator[str]:
    """The functions that an expression calls."""
    if isinstance(expression, Call) and isinstance(expression.function, Name):
        yield expression.function.path
    for child in children_of(expression):
        yield from _called(child)


def _bare(statement: Statement) -> Statement:
    return replace(statement, comment="") if isinstance(statement, Assign) else statement


def _comment(statement: Statement) -> str:
    return statement.comment if isinstance(statement, Assign) else ""


def _targets(statement: Statement) -> object:
    return getattr(statement, "target", getattr(statement, "targets", ""))
