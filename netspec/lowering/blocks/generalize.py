"""Deriving one class or function from several instances of a block: numbers that differ become parameters.

Instances share code if a backend emits the same statements for them, up to numbers. So the nodes decide, after all
passes, and not the spec.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from netspec.lowering.blocks.branches import idle_in, joined_in, output_without
from netspec.lowering.blocks.choices import Choice
from netspec.lowering.blocks.forms import Forms
from netspec.lowering.blocks.groups import Alternative, Group
from netspec.lowering.blocks.indexed import INDEX
from netspec.lowering.blocks.kinds import Kinds, each_of, kinds_of
from netspec.lowering.blocks.known import ABSENT, Given
from netspec.lowering.blocks.lists import ITEM, plural_of
from netspec.lowering.blocks.parameters import ParameterNaming
from netspec.lowering.blocks.places import Place
from netspec.lowering.blocks.reads import Reads, UntoldError
from netspec.lowering.blocks.template import (
    MARK,
    Draft,
    Signatures,
    Template,
    Unit,
    member_in,
    signature_of,
    variables_in,
)
from netspec.lowering.python.rewrite import children_of, functions_in, names_in, with_children
from netspec.lowering.python.source import (
    Assign,
    Binary,
    Call,
    Conditional,
    Each,
    Expression,
    Formatted,
    Literal,
    Name,
    Repeated,
    Statement,
    TupleOf,
)

_OPERANDS: Final = {"*": "scale", "+": "offset", "**": "exponent"}  # the names of numbers, by the operator before them


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
        self._reads = Reads(Draft((), (), Given()), ())

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
        order = list(group.members)  # the fullest first, whose names and inputs decide for all
        fullest = group.fullest
        if len(order) == 1:
            return Template(fullest.units, fullest.results)
        given = [drafts[index].given for index in order]
        members = [*group.members.values()]
        # Where instances differ in what they read, each value stays in a variable of its own.
        joined = {} if group.is_mixed else joined_in(fullest, group.sources)
        idle = set() if group.is_mixed else idle_in(fullest, [member.units for member in members], joined)
        self._reads = Reads(fullest, [member.passed for member in members])

        def share(naming: ParameterNaming) -> list[Unit]:
            return [
                self._unit(
                    unit,
                    [(member.units[place], member.alternatives[place]) for member in members],
                    naming,
                    output_without(unit, group.sources, idle=place in idle),
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
        return Template(
            tuple(units),
            fullest.results,
            tuple(parameters),
            naming.computed(),
            positions.index(0),
            joined,
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

    def _unit(
        self,
        fullest: Unit,
        versions: Sequence[tuple[Unit | None, Alternative | None]],
        naming: ParameterNaming,
        otherwise: Name | None,
    ) -> Unit:
        """The shared unit of a place, with parameters; under conditions if instances have different units, or none.

        Args:
            fullest: the unit of the fullest instance.
            versions: the unit of each instance, and which alternative it is; None if it lacks one.
            naming: where parameters are added.
            otherwise: the variable that replaces the output if the unit is not run; None to run `absent` instead.
        """
        if fullest.is_empty:
            return fullest
        units = [unit for unit, _ in versions]
        choice = Choice(fullest, versions, naming)
        channels = naming.input_channels({name for statement in fullest.run for name in names_in(statement.value)})
        setup = []
        for target in dict.fromkeys(layer.target for unit in units if unit for layer in unit.setup):
            place = Place(fullest.name, target.rpartition(".")[2], input_channels=channels, reads=_read_first(fullest))
            values = [_value_of(target, unit.setup) if unit else None for unit in units]
            setup.append(Assign(target, self._chosen(choice, values, naming, place, self._absent)))
        run: list[Statement] = []
        for index, statement in enumerate(fullest.run):
            row = [unit.run[index] if unit else None for unit in units]
            place = Place(fullest.pads or fullest.name, fullest.name)
            values = [other.value if other else None for other in row]
            shared = replace(statement, value=self._chosen(choice, values, naming, place, otherwise))
            alike = len({_comment(other) for other in row if other}) == 1
            run.append(shared if alike and not choice.is_open else _without_comment(shared))
        return replace(fullest, setup=tuple(setup), run=tuple(run))

    def _chosen(
        self,
        choice: Choice,
        values: Sequence[Expression | None],
        naming: ParameterNaming,
        place: Place,
        otherwise: Expression | None,
    ) -> Expression:
        """The shared expression of a place of the source: for each alternative its own, chosen by conditions."""
        shared: dict[Alternative, Expression] = {}
        for alternative, members in choice.members.items():
            own = [value if has else None for value, has in zip(values, members, strict=True)]
            if any(value is not None for value in own):
                shared[alternative] = self._walk(own, naming, place)
        if len(choice.members) == 1:
            (value,) = shared.values()
            passed_on = isinstance(value, Name) or naming.repeats_none(value, choice.lacking)
            if passed_on or otherwise is None:
                return value
        return choice.of(shared, otherwise)

    def _walk(self, expressions: Sequence[Expression | None], naming: ParameterNaming, place: Place) -> Expression:
        """The shared expression, with parameters in place of numbers that differ; None for an instance without one."""
        present = [expression for expression in expressions if expression is not None]
        first = present[0]
        if len(present) == len(expressions) and all(other == first for other in present[1:]):
            return first
        if isinstance(first, Name) and first.path.startswith(MARK):
            return self._reads.choose([e.path if isinstance(e, Name) else None for e in expressions], naming, place)
        if isinstance(first, Literal):
            values = tuple(e.value if isinstance(e, Literal) else ABSENT for e in expressions)
            if all(other == first for other in present[1:]):
                return naming.spec_expression(values, place) or first
            return naming.parameter(values, place)
        if isinstance(first, Call):
            return self._call([e if isinstance(e, Call) else None for e in expressions], naming, place)
        if isinstance(first, Each):
            return self._each([e if isinstance(e, Each) else None for e in expressions], naming, place)
        if isinstance(first, Repeated | Formatted):  # the name of a layer ends with its number
            place = replace(place, role="repeat", kinds=kinds_of("repeat"))
        if isinstance(first, Binary) and first.operator in _OPERANDS:
            role = _OPERANDS[first.operator]
            grows = INDEX in names_in(first)  # from an element of a stack to the next
            place = replace(place, default=None) if grows else replace(place, role=role, kinds=kinds_of(role))
        children = [None if e is None else _known_children(e) for e in expressions]
        if isinstance(first, Binary) and first.operator == "==":  # of an index and the number of elements
            place = replace(place, role="repeat", kinds=kinds_of("repeat"))
        shared = []
        for index, child in enumerate(children_of(first)):
            column = [None if row is None else row[index] for row in children]
            is_known = any(each is not None for each in column)  # else it may be any
            shared.append(self._walk(column, naming, place) if is_known else child)
        return with_children(first, shared)

    def _each(self, loops: Sequence[Each | None], naming: ParameterNaming, place: Place) -> Each:
        """The shared loop through tuples, which are parameters named after their items."""
        first = next(loop for loop in loops if loop is not None)
        value = self._walk([None if loop is None else loop.value for loop in loops], naming, place)
        assert isinstance(first.value, Call)  # noqa: S101 # an element of a stack is a call
        signature = signature_of(first.value.function, self._signatures)
        tuples = []
        for index, name in enumerate(first.names):
            item = name.removeprefix(ITEM)
            at = replace(place, role=plural_of(item), kinds=each_of(signature.kinds_of(item)))
            tuples.append(self._walk([None if loop is None else loop.tuples[index] for loop in loops], naming, at))
        return replace(first, value=value, tuples=tuple(tuples))

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
