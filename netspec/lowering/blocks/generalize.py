"""One class or function for several instances of a block: what differs between them becomes parameters.

What a backend emits for an instance is taken as it is, and instances share their code where it is the same statements
up to numbers. So it is the nodes that decide, whatever passes have made of them, and not the spec.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from netspec.lowering.blocks.align import Group, align
from netspec.lowering.blocks.branches import output_without, idle_in, joined_in
from netspec.lowering.blocks.kinds import Kinds, kinds_of
from netspec.lowering.blocks.known import ABSENT
from netspec.lowering.blocks.parameters import ParameterNaming
from netspec.lowering.blocks.places import Place
from netspec.lowering.blocks.template import Draft, Signature, Signatures, Template, Unit
from netspec.lowering.python.rewrite import children_of, names_in, rename, with_children
from netspec.lowering.python.source import (
    Assign,
    Attribute,
    Call,
    Conditional,
    Expression,
    Literal,
    Name,
    Repeated,
    Statement,
    TupleOf,
)

MOST: Final = 2  # different layers, or none, in one place of a block: more are choices that nobody can read


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
        groups: dict[int, list[Group]] = {}
        for index in order:
            known = groups.setdefault(len(drafts[index].results), [])
            if not any(self._joins(index, drafts[index], group) for group in known):
                known.append(Group(drafts[index]))
                self._joins(index, drafts[index], known[-1])
        found = sorted((group for same in groups.values() for group in same), key=lambda group: sorted(group.members))
        return [(tuple(sorted(group.members)), self._template(drafts, group)) for group in found]

    def _joins(self, index: int, draft: Draft, group: Group) -> bool:
        """Whether a draft is what a group shares, without some units that can be left out, or with others for some."""
        aligned = align(draft, group.fullest)
        if aligned is None:
            return False
        results = tuple(aligned.passed.get(result, result) for result in group.fullest.results)
        if results != aligned.results:
            return False
        there = {own.name for own in aligned.units if own is not None}
        others: dict[tuple[int, str], tuple[Any, ...]] = {}
        for place, (own, unit) in enumerate(zip(aligned.units, group.fullest.units, strict=True)):
            if own is not None and own.name == unit.name:
                if self._shape(own, {}) != self._shape(unit, aligned.passed):
                    return False
            elif own is not None:
                others[place, own.name] = self._forms_of(own)
            elif unit.pads in there and not _may_be_unpadded(unit.pads, draft, group.fullest):
                return False
        if any(group.others.get(key, shape) != shape for key, shape in others.items()):
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
        """That of a function or class; of a method by its name alone, `.permute`."""
        match function:
            case Name(path):
                return self._signatures(path)
            case Attribute(_, method):
                return self._signatures(f".{method}")
        return Signature()

    def _template(self, drafts: Sequence[Draft], group: Group) -> Template:
        order = list(group.members)  # the fullest first: what it reads is what all of them read
        fullest = group.fullest
        if len(order) == 1:
            return Template(fullest.units)
        given = [drafts[index].given for index in order]
        naming = ParameterNaming(given, self._reserved, self._kinds_within(fullest))
        aligned = [member.units for member in group.members.values()]
        joined = joined_in(fullest, group.sources)
        idle = idle_in(fullest, [*group.members.values()], joined)
        units = [
            self._unit(
                unit, [own[place] for own in aligned], naming, output_without(unit, group.sources, idle=place in idle)
            )
            for place, unit in enumerate(fullest.units)
        ]
        positions = sorted(range(len(order)), key=order.__getitem__)
        parameters = [replace(p, values=tuple(p.values[each] for each in positions)) for p in naming.parameters()]
        return Template(tuple(units), tuple(parameters), naming.computed(), positions.index(0), joined)

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

    def _unit(self, fullest: Unit, own: Sequence[Unit | None], naming: ParameterNaming, otherwise: Name | None) -> Unit:
        """A unit with parameters; one that some instances lack is made, or run, where a parameter says so.

        Where it is not run, what it gives is `otherwise`; None where a layer that passes on what it reads is run.
        """
        if any(unit is not None and unit.name != fullest.name for unit in own):
            return self._choice(fullest, own, naming)
        has: Expression | None = None
        if any(unit is None for unit in own):
            has = naming.flag(fullest.name, tuple(unit is not None for unit in own), fullest.pads)
        lacking = [unit is None for unit in own]
        setup = []
        arriving = naming.received_by({name for statement in fullest.run for name in names_in(statement.value)})
        for index, made in enumerate(fullest.setup):
            values = [None if unit is None else unit.setup[index].value for unit in own]
            value = self._walk(values, naming, Place(fullest.name, made.target.rpartition(".")[2], arriving=arriving))
            none = naming.repeats_none(value, lacking)
            setup.append(replace(made, value=value if none else _where(has, value, self._absent)))
        run: list[Statement] = []
        for index, statement in enumerate(fullest.run):
            same = [None if unit is None else unit.run[index] for unit in own]
            value = self._walk(
                [None if s is None else s.value for s in same],
                naming,
                Place(fullest.pads or fullest.name, fullest.name),
            )
            if not _is_passed_on(statement, value) and not naming.repeats_none(value, lacking):
                value = _where(has, value, otherwise)
            run.append(replace(statement, value=value))
            if has is not None or len({_comment(other) for other in same if other is not None}) > 1:
                run[-1] = _bare(run[-1])
        return replace(fullest, setup=tuple(setup), run=tuple(run))

    def _choice(self, fullest: Unit, own: Sequence[Unit | None], naming: ParameterNaming) -> Unit:
        """A unit in whose place instances have different ones: each where a parameter says so, the last where none."""
        (statement,) = fullest.run
        assert isinstance(statement, Assign)  # noqa: S101 # what has another in its place gives one value
        present = dict.fromkeys(unit.name for unit in own if unit is not None)
        has = {name: tuple(unit is not None and unit.name == name for unit in own) for name in present}
        names = sorted(has, key=lambda name: not naming.is_said(name, has[name]))
        values = {
            name: self._walk(
                [None if unit is None or unit.name != name else unit.run[0].value for unit in own],
                naming,
                Place(name, name),
            )
            for name in names
        }
        if None in own:
            assert fullest.passes is not None  # noqa: S101 # some are without it
            value: Expression = Name(fullest.passes[0])
        else:
            value = values[names.pop()]
        for name in reversed(names):
            value = Conditional(values[name], naming.flag(name, has[name]), value)
        return replace(fullest, run=(_bare(replace(statement, value=value)),))

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
        if isinstance(first, Repeated):
            place = replace(place, role="repeat", kinds=kinds_of("repeat"))
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

        given = [None if own is None else own.args for own in calls]
        if signature.together and len({*filter(None, given)}) > 1:
            args = self._together(given, naming, at(signature.together))
        else:
            args = tuple(
                self._walk(
                    [None if own is None else own[index] for own in given],
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

    def _together(
        self, given: Sequence[tuple[Expression, ...] | None], naming: ParameterNaming, place: Place
    ) -> tuple[Expression, ...]:
        """Arguments that are numbers, as one tuple where they are not known one by one."""
        values = [
            None if own is None else Literal(tuple(each.value for each in own if isinstance(each, Literal)))
            for own in given
        ]
        found = self._walk(values, naming, place)
        return found.items if isinstance(found, TupleOf) else (found,)


def _may_be_unpadded(member: str, draft: Draft, fullest: Draft) -> bool:
    """Whether the spec says by an expression that a member has padding in one instance, and none in the other."""
    return fullest.given.pads(member) is True and draft.given.pads(member) is False


def _is_passed_on(statement: Statement, value: Expression) -> bool:
    """Whether a statement gives what it reads, before a loop begins: so it does without the loop."""
    return isinstance(statement, Assign) and isinstance(value, Name)


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
