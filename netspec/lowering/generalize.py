"""One class or function for several instances of a block: what differs between them becomes parameters.

What a backend emits for an instance is taken as it is, and instances share their code where it is the same statements
up to numbers. So it is the nodes that decide, whatever passes have made of them, and not the spec.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from netspec.lowering.parameters import ABSENT, Hints, Parameter, ParameterNaming
from netspec.lowering.rewrite import children_of, rename, with_children
from netspec.lowering.source import (
    Assign,
    Call,
    Conditional,
    Expression,
    Literal,
    LiteralValue,
    Name,
    Statement,
)


@dataclass(frozen=True, slots=True)
class Signature:
    """What a function or class takes: the names of its positional arguments, and the defaults of optional ones."""

    positional: tuple[str, ...] = ()
    optional: Mapping[str, LiteralValue] | None = None


@dataclass(frozen=True, slots=True)
class Unit:
    """What is emitted for one member of a part.

    Attributes:
        name: the member's, within its part.
        setup: statements that make its layers, whose numbers may differ between instances.
        run: statements that compute its values.
        passes: the variables that it reads and gives, where an instance without it passes the one on as the other.
    """

    name: str
    setup: tuple[Assign, ...]
    run: tuple[Statement, ...]
    passes: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """What is emitted for an instance, and what may name its numbers.

    Attributes:
        results: the variables of its outputs.
        hints: numbers by name, first those that are to be preferred.
    """

    units: tuple[Unit, ...]
    results: tuple[str, ...]
    hints: Hints


@dataclass(frozen=True, slots=True)
class Template:
    """What instances share: their units, with parameters, and what each of them gives for those.

    Attributes:
        fullest: the position of an instance that has all the units.
    """

    units: tuple[Unit, ...]
    parameters: tuple[Parameter, ...] = ()
    fullest: int = 0

    def arguments(self, instance: int) -> tuple[tuple[LiteralValue, ...], dict[str, LiteralValue]]:
        """What an instance gives, in order, and by name where it is not the default."""
        given = [(p, p.values[instance]) for p in self.parameters]
        required = tuple(value for p, value in given if p.default is None)
        return required, {p.name: value for p, value in given if p.default is not None and value != p.default}


Signatures = Callable[[str], Signature]


class Generalizer:
    """Finds what instances share.

    Args:
        signatures: of what emitted source calls, by name.
        reserved: names that no parameter may have.
        in_run: whether numbers of `run` may become parameters too, and units be left out by an expression there.
        absent: what stands for a unit that an instance lacks, given what it would pass on.
    """

    def __init__(
        self,
        signatures: Signatures,
        reserved: Iterable[str],
        absent: Callable[[str], Expression],
        *,
        in_run: bool,
    ) -> None:
        self._signatures = signatures
        self._reserved = frozenset(reserved)
        self._absent = absent
        self._in_run = in_run

    def group(self, drafts: Sequence[Draft]) -> list[tuple[tuple[int, ...], Template]]:
        """Drafts that can share, by position, each group with what it shares; the fullest decide."""
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
        setup = tuple((s.target, self._form(s.value)) for s in unit.setup)
        run = [_bare(rename(statement, passed)) for statement in unit.run]
        if not self._in_run:
            return setup, tuple(run)
        return setup, tuple((_targets(s), self._form(s.value)) for s in run)

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
        naming = ParameterNaming([draft.hints for draft in drafts], self._reserved)
        by_name = [{unit.name: unit for unit in draft.units} for draft in drafts]
        units = []
        for unit in fullest.units:
            own = [known.get(unit.name) for known in by_name]
            units.append(self._unit(unit, own, naming) if len(drafts) > 1 else unit)
        positions = {index: position for position, index in enumerate(order)}
        parameters = [
            replace(p, values=tuple(p.values[positions[index]] for index in range(len(drafts))))
            for p in naming.parameters()
        ]
        return Template(tuple(units), tuple(parameters), order[0])

    def _unit(self, fullest: Unit, own: Sequence[Unit | None], naming: ParameterNaming) -> Unit:
        """A unit with parameters; one that some instances lack is made, or run, where a parameter says so."""
        has: Expression | None = None
        if any(unit is None for unit in own):
            has = naming.flag(f"has_{fullest.name}", tuple(unit is not None for unit in own))
        setup = []
        for index, made in enumerate(fullest.setup):
            values = [None if unit is None else unit.setup[index].value for unit in own]
            value = self._walk(values, naming, made.target.rpartition(".")[2])
            setup.append(replace(made, value=self._where(has, value, fullest) if not self._in_run else value))
        run: list[Statement] = []
        for index, statement in enumerate(fullest.run):
            same = [None if unit is None else unit.run[index] for unit in own]
            shown = {_comment(other) for other in same if other is not None}
            if self._in_run:
                value = self._walk([s.value if s is not None else None for s in same], naming, fullest.name)
                run.append(replace(statement, value=self._where(has, value, fullest)))
            else:
                run.append(statement)
            if len(shown) > 1 or has is not None:
                run[-1] = _bare(run[-1])
        return replace(fullest, setup=tuple(setup), run=tuple(run))

    def _where(self, has: Expression | None, value: Expression, unit: Unit) -> Expression:
        if has is None or unit.passes is None:
            return value
        return Conditional(value, has, self._absent(unit.passes[0]))

    def _walk(
        self,
        expressions: Sequence[Expression | None],
        naming: ParameterNaming,
        owner: str,
        role: str = "size",
        default: LiteralValue = None,
    ) -> Expression:
        """The expression of all instances; None of those that have none."""
        present = [expression for expression in expressions if expression is not None]
        first = present[0]
        if all(other == first for other in present[1:]):
            return first
        if isinstance(first, Literal):
            values = tuple(e.value if isinstance(e, Literal) else ABSENT for e in expressions)
            return naming.parameter(values, owner, role, default)
        if isinstance(first, Call):
            return self._call([e if isinstance(e, Call) else None for e in expressions], naming, owner)
        inner = [None if e is None else children_of(e) for e in expressions]
        parts = [
            self._walk([None if own is None else own[index] for own in inner], naming, owner)
            for index in range(len(children_of(first)))
        ]
        return with_children(first, parts)

    def _call(self, calls: Sequence[Call | None], naming: ParameterNaming, owner: str) -> Call:
        present = [own for own in calls if own is not None]
        first = present[0]
        signature = self._signature(first.function)
        optional, roles = signature.optional or {}, signature.positional
        function = self._walk([None if own is None else own.function for own in calls], naming, owner)
        args = tuple(
            self._walk(
                [None if own is None else own.args[index] for own in calls],
                naming,
                owner,
                roles[index] if index < len(roles) else "size",
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
            kwargs.append((key, self._walk(values, naming, owner, key, optional.get(key))))
        return Call(function, args, tuple(kwargs))


def _bare(statement: Statement) -> Statement:
    return replace(statement, comment="") if isinstance(statement, Assign) else statement


def _comment(statement: Statement) -> str:
    return statement.comment if isinstance(statement, Assign) else ""


def _targets(statement: Statement) -> object:
    return getattr(statement, "target", getattr(statement, "targets", ""))
