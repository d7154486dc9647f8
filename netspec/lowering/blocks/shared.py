"""The source that the instances of a group share: one expression in place of theirs, with parameters for what differs.

Expressions of equal form are walked in step. Where they are equal they stay; where their numbers differ, a parameter
takes their place. So it is anti-unification: the result is the most specific expression of which all are instances.

Source: Plotkin 1970, A note on inductive generalization.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from netspec.lowering.blocks.choices import Choice
from netspec.lowering.blocks.groups import Alternative
from netspec.lowering.blocks.indexed import INDEX
from netspec.lowering.blocks.kinds import each_of, kinds_of
from netspec.lowering.blocks.known import ABSENT
from netspec.lowering.blocks.lists import ITEM, plural_of
from netspec.lowering.blocks.numbers import Numbers
from netspec.lowering.blocks.places import Place
from netspec.lowering.blocks.reads import Reads
from netspec.lowering.blocks.template import MARK, Signatures, Unit, member_in, signature_of, variables_in
from netspec.lowering.python.rewrite import children_of, names_in, with_children
from netspec.lowering.python.source import (
    Binary,
    Call,
    Conditional,
    Each,
    Expression,
    Formatted,
    Literal,
    Name,
    Repeated,
    Subscript,
    TupleOf,
)
from netspec.lowering.python.statements import Assign, Statement

_OPERANDS: Final = {"*": "scale", "+": "offset", "**": "exponent"}  # the names of numbers, by the operator before them


class SharedUnits:
    """Derives the units that the instances of a group share.

    Args:
        numbers: finds expressions for numbers, and adds parameters.
        reads: chooses the variables that units read.
        signatures: returns the signature of a function or class that emitted source calls, by name.
        absent: an identity layer, used in place of a layer that an instance lacks.
    """

    def __init__(self, numbers: Numbers, reads: Reads, signatures: Signatures, absent: Expression | None) -> None:
        self._numbers, self._reads, self._signatures, self._absent = numbers, reads, signatures, absent

    def of(
        self,
        fullest: Unit,
        versions: Sequence[tuple[Unit | None, Alternative | None]],
        otherwise: Name | None,
    ) -> Unit:
        """The shared unit of a place, with parameters; under conditions if instances have different units, or none.

        Args:
            fullest: the unit of the fullest instance.
            versions: the unit of each instance, and which alternative it is; None if it lacks one.
            otherwise: the variable that replaces the output if the unit is not run; None to run `absent` instead.
        """
        if fullest.is_empty:
            return fullest
        units = [unit for unit, _ in versions]
        choice = Choice(fullest, versions, self._numbers.conditions)
        channels = self._numbers.input_channels(
            {name for statement in fullest.run for name in names_in(statement.value)}
        )
        setup = []
        for target in dict.fromkeys(layer.target for unit in units if unit for layer in unit.setup):
            place = Place(fullest.name, target.rpartition(".")[2], input_channels=channels, reads=_read_first(fullest))
            values = [_value_of(target, unit.setup) if unit else None for unit in units]
            setup.append(Assign(target, self._chosen(choice, values, place, self._absent)))
        run: list[Statement] = []
        for index, statement in enumerate(fullest.run):
            row = [unit.run[index] if unit else None for unit in units]
            place = Place(fullest.pads or fullest.name, fullest.name)
            values = [other.value if other else None for other in row]
            shared = replace(statement, value=self._chosen(choice, values, place, otherwise))
            alike = len({_comment(other) for other in row if other}) == 1
            run.append(shared if alike and not choice.is_open else _without_comment(shared))
        return replace(fullest, setup=tuple(setup), run=tuple(run))

    def _chosen(
        self,
        choice: Choice,
        values: Sequence[Expression | None],
        place: Place,
        otherwise: Expression | None,
    ) -> Expression:
        """The shared expression of a place of the source: for each alternative its own, chosen by conditions."""
        shared: dict[Alternative, Expression] = {}
        for alternative, members in choice.members.items():
            own = [value if has else None for value, has in zip(values, members, strict=True)]
            if any(value is not None for value in own):
                shared[alternative] = self._walk(own, place)
        if len(choice.members) == 1:
            (value,) = shared.values()
            passed_on = isinstance(value, Name) or self._numbers.repeats_none(value, choice.lacking)
            if passed_on or otherwise is None:
                return value
        return choice.of(shared, otherwise)

    def _walk(self, expressions: Sequence[Expression | None], place: Place) -> Expression:
        """The shared expression, with parameters in place of numbers that differ; None for an instance without one."""
        present = [expression for expression in expressions if expression is not None]
        first = present[0]
        if len(present) == len(expressions) and all(other == first for other in present[1:]):
            return first
        if isinstance(first, Name) and first.path.startswith(MARK):
            return self._reads.choose([e.path if isinstance(e, Name) else None for e in expressions], place.member)
        if isinstance(first, Literal):
            values = tuple(e.value if isinstance(e, Literal) else ABSENT for e in expressions)
            if all(other == first for other in present[1:]):
                return self._numbers.spec_expression(values, place) or first
            return self._numbers.expression(values, place)
        if isinstance(first, Call):
            return self._call([e if isinstance(e, Call) else None for e in expressions], place)
        if isinstance(first, Each):
            return self._each([e if isinstance(e, Each) else None for e in expressions], place)
        within = _place_within(first, place)
        children = [None if e is None else _known_children(e) for e in expressions]
        shared = []
        for index, child in enumerate(children_of(first)):
            column = [None if row is None else row[index] for row in children]
            is_known = any(each is not None for each in column)  # else it may be any
            shared.append(self._walk(column, within) if is_known else child)
        return with_children(first, shared)

    def _each(self, loops: Sequence[Each | None], place: Place) -> Each:
        """The shared loop through tuples, which are parameters named after their items."""
        first = next(loop for loop in loops if loop is not None)
        value = self._walk([None if loop is None else loop.value for loop in loops], place)
        assert isinstance(first.value, Call)  # noqa: S101 # an element of a stack is a call
        signature = signature_of(first.value.function, self._signatures)
        tuples = []
        for index, name in enumerate(first.names):
            item = name.removeprefix(ITEM)
            at = replace(place, role=plural_of(item), kinds=each_of(signature.kinds_of(item)))
            tuples.append(self._walk([None if loop is None else loop.tuples[index] for loop in loops], at))
        return replace(first, value=value, tuples=tuple(tuples))

    def _call(self, calls: Sequence[Call | None], place: Place) -> Call:
        """The shared call; an optional argument is written if any instance passes it."""
        present = [call for call in calls if call is not None]
        first = present[0]
        signature = signature_of(first.function, self._signatures)
        optional, roles = signature.optional or {}, signature.positional
        function = self._walk([None if call is None else call.function for call in calls], place)

        def at(role: str) -> Place:
            return replace(place, role=role, kinds=signature.kinds_of(role), default=optional.get(role))

        args_of = [None if call is None else call.args for call in calls]
        if signature.together and len({*filter(None, args_of)}) > 1:
            args = self._together(args_of, at(signature.together))
        else:
            args = tuple(
                self._walk(
                    [None if row is None else row[index] for row in args_of],
                    at(roles[index]) if index < len(roles) else Place(place.member, place.owner),
                )
                for index in range(len(first.args))
            )
        kwargs_of = [None if call is None else dict(call.kwargs) for call in calls]
        kwargs = []
        for key in _keyword_order([row for row in kwargs_of if row is not None], list(optional)):
            values = [None if row is None else row.get(key, Literal(optional.get(key))) for row in kwargs_of]
            kwargs.append((key, self._walk(values, at(key))))
        return Call(function, args, tuple(kwargs))

    def _together(self, args_of: Sequence[tuple[Expression, ...] | None], place: Place) -> tuple[Expression, ...]:
        """The shared arguments of a call that takes numbers one by one or as a tuple: a tuple if it is a parameter."""
        values = [
            None if args is None else Literal(tuple(arg.value for arg in args if isinstance(arg, Literal)))
            for args in args_of
        ]
        shared = self._walk(values, place)
        return shared.items if isinstance(shared, TupleOf) else (shared,)


def _keyword_order(calls: Sequence[Mapping[str, Expression]], optional: Sequence[str]) -> list[str]:
    """The keywords of all calls: required ones, then optional ones in their order; a common last one stays last."""
    keys = dict.fromkeys(key for kwargs in sorted(calls, key=lambda kwargs: -len(kwargs)) for key in kwargs)
    last = {list(kwargs)[-1] for kwargs in calls if kwargs}
    final = last.pop() if len(last) == 1 else None
    return sorted(keys, key=lambda key: (key == final, optional.index(key) if key in optional else -1))


def _place_within(expression: Expression, place: Place) -> Place:
    """The place of the numbers that an expression other than a call has directly in it."""
    match expression:
        case Repeated() | Formatted() | Binary("=="):  # how many elements, one's number, or an index compared with it
            return replace(place, role="repeat", kinds=kinds_of("repeat"))
        case Binary(operator) if operator in _OPERANDS:
            if INDEX in names_in(expression):  # from an element of a stack to the next
                return replace(place, default=None)
            return replace(place, role=_OPERANDS[operator], kinds=kinds_of(_OPERANDS[operator]))
        case Subscript(_, (Literal(),)):  # which of several equal parts
            return replace(place, role="part", kinds=kinds_of("part"))
    return place


def _known_children(expression: Expression) -> tuple[Expression | None, ...]:
    """The direct subexpressions; None for one that is repeated 0 times, or never chosen, and may be any."""
    if isinstance(expression, Conditional) and expression.decided:
        return expression.value, expression.test, None
    if isinstance(expression, Repeated) and expression.number == Literal(0):
        return None, expression.count
    return children_of(expression)


def _read_first(unit: Unit) -> str:
    """The name of the first value that a unit reads, if a member computes it; empty otherwise."""
    return next((member_in(variable).replace(".", "_") for each in unit.run for variable in variables_in(each)), "")


def _value_of(target: str, setup: Iterable[Assign]) -> Expression | None:
    """What a layer is created by; None if it is not."""
    return next((layer.value for layer in setup if layer.target == target), None)


def _without_comment(statement: Statement) -> Statement:
    return replace(statement, comment="") if isinstance(statement, Assign) else statement


def _comment(statement: Statement) -> str:
    return statement.comment if isinstance(statement, Assign) else ""
