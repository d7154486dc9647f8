"""The parameters of a class or function that several instances of a block share, and how they are named.

A number that differs between instances becomes the spec's expression for it, if that gives its value in every instance;
else a known name of the same kind that is equal or of which it is a multiple (channels by channels, a stride by a
stride); else a new parameter.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final

from netspec.lowering.blocks.conditions import conditions_over
from netspec.lowering.blocks.kinds import ANY, PER_AXIS, Kinds, kinds_of, list_depth, may_name, within
from netspec.lowering.blocks.known import (
    ABSENT,
    Given,
    KindsWithin,
    Known,
    Vector,
    agree,
    is_same,
    multiple_of,
    names_of,
)
from netspec.lowering.blocks.parameter import Parameter
from netspec.lowering.blocks.places import Place, spread
from netspec.lowering.blocks.stated import OUTPUT_CHANNELS, Stated
from netspec.lowering.python.expressions import LOGIC
from netspec.lowering.python.naming import identifier
from netspec.lowering.python.rewrite import rename_in
from netspec.lowering.python.source import (
    Binary,
    Call,
    Each,
    Expression,
    Literal,
    LiteralValue,
    Name,
    Repeated,
    TupleOf,
)

_CHANNELS: Final = "in_channels"
_CLEARER: Final = {"p": "rate", "target_shape": "shape"}  # parameter names for arguments that are unclear by themselves


class ParameterNaming:
    """Finds expressions for the numbers in which instances differ, and collects the parameters that these use.

    Args:
        given: the arguments of each instance.
        reserved: names that no parameter may have.
        kinds_within: returns the kinds of an attribute of a member, given both names.
        expected: names that will be parameters, or computed, in the end.
    """

    def __init__(
        self,
        given: Sequence[Given],
        reserved: Collection[str],
        kinds_within: KindsWithin = lambda member, attribute: kinds_of(attribute),
        expected: Collection[str] = (),
    ) -> None:
        self._expected = expected
        self._postponed: list[Collection[str]] = []  # the names in expressions that used new names
        self._known = Known(given, reserved, kinds_within)
        self._stated = Stated(self._known)
        self._received = given[0].received
        self._reserved = reserved
        self._values: dict[str, Vector] = {}  # of the parameters
        self._kinds = dict(self._known.kinds)
        self._defaults: dict[str, list[LiteralValue]] = {}  # of the arguments that each parameter is passed for
        self._read: dict[str, tuple[str, Vector]] = {}  # of values that members read: the name of their channels
        self._flags: dict[str, Vector] = {}  # the names that say whether members are present, and their values
        self._computed: dict[str, Expression] = {}

    def parameters(self) -> tuple[Parameter, ...]:
        """The parameters: required ones first, the channels of the input before others, then in the spec's order."""
        parameters = [Parameter(name, v, self._default(name), self._kinds[name]) for name, v in self._values.items()]
        first = self._known.input_channels
        of_spec = [name for name in self._known.vectors if name in self._values]

        def order(parameter: Parameter) -> tuple[bool, bool, bool, int]:
            name, default = parameter.name, parameter.default
            position = of_spec.index(name) if name in of_spec else len(of_spec)
            return default is not None, name != first, isinstance(default, bool), position

        return tuple(sorted(parameters, key=order))

    def _default(self, name: str) -> LiteralValue:
        """The spec's default of a parameter, else the common default of the arguments that it is passed for."""
        if name in self._known.defaults:
            return self._known.defaults[name]
        defaults = self._defaults[name]
        default = defaults[0] if all(d == defaults[0] for d in defaults) else None
        values = self._values[name]
        if isinstance(default, bool) and name in self._flags:
            return max((False, True), key=values.count)  # the most frequent value
        if default is not None and default not in values:
            default = max(dict.fromkeys(values), key=values.count)  # no instance has the argument's default
        if default is None and all(isinstance(value, bool) for value in values):
            return False  # an instance passes a switch by keyword, to turn it on
        return default

    def names(self) -> frozenset[str]:
        """The names of the parameters and of what is computed from them."""
        return frozenset((*self._values, *self._computed))

    def has_postponed(self) -> bool:
        """Whether `spec_expression` refused an expression for new names, all of which were used later."""
        return any(self.names().issuperset(names) for names in self._postponed)

    def computed(self) -> tuple[tuple[str, Expression], ...]:
        """Names that are computed first, with their expressions over parameters and earlier names."""
        return tuple(self._computed.items())

    def repeats_none(self, value: Expression, lacking: Sequence[bool]) -> bool:
        """Whether a value is repeated 0 times in the instances that lack it, so that it needs no condition."""
        inner = value.args[0] if isinstance(value, Call) and len(value.args) == 1 else value
        if isinstance(inner, Each):
            empty = tuple(() if lacks else ABSENT for lacks in lacking)
            vectors = [self._values.get(items.path) if isinstance(items, Name) else None for items in inner.tuples]
            return any(lacking) and all(vector is not None and agree(empty, vector) for vector in vectors)
        if not isinstance(inner, Repeated) or not set(names_of(inner.number)) <= set(self._known.vectors):
            return False
        counts = self._known.vector(inner.number)
        return any(lacking) and all(count == 0 for count, lacks in zip(counts, lacking, strict=True) if lacks)

    def input_channels(self, variables: Collection[str]) -> str:
        """The hint with the channels of the block's only input among these variables; empty if there is not one."""
        hints = [hint for variable, hint in self._received.items() if variable in variables]
        return hints[0] if len(hints) == 1 else ""

    def has_condition(self, member: str, values: Vector) -> bool:
        """Whether the spec has a condition for the presence of a member that gives these values."""
        return self._condition(member, values) is not None

    def flag(self, member: str, values: Vector, pads: str = "") -> Expression:
        """The condition under which a member is present: the spec's, or a parameter that members may share.

        Args:
            member: the member's name.
            values: whether each instance has the member.
            pads: the member that it pads for, if that is all it does. It is then present if that padding is above 0.
        """
        if padded := self._stated.padded(pads, values):
            return self._commit(padded, None)
        for kinds, count in self._known.expressions.get(member, ()):
            if "repeat" in kinds and tuple(type(n) is int and n > 0 for n in self._known.vector(count)) == values:
                least = count.right if isinstance(count, Binary) and count.operator == "-" else None
                if isinstance(count, Binary) and isinstance(least, Literal):
                    return self._commit(Binary(">", count.left, least), None)
                return self._commit(Binary(">", count, Literal(0)), None)
        known = self._known_flag(values)
        name = known or self._free(f"has_{member}")
        if condition := self._condition(member, values) or self._condition(pads, values):
            condition = self._known.named(condition)
            if isinstance(condition, Name):
                self._flags[condition.path] = values
            if not isinstance(condition, Binary) or condition.operator not in LOGIC:
                return self._commit(condition, False)
            if not known:
                self._computed[name] = self._commit(condition, None)  # a long condition gets a name
        self._flags[name] = values
        return Name(name) if name in self._computed else self._use(name, values, False, kinds_of("when"))

    def selects(self, member: str, values: Vector) -> bool:
        """Whether an expression of the spec tells which instances have a certain alternative of a member."""
        return self._selector(member, values) is not None

    def selector(self, member: str, values: Vector) -> Expression:
        """The condition under which a member has an alternative that an expression of the spec tells."""
        test = self._selector(member, values)
        assert test is not None  # noqa: S101 # `selects` was asked
        return self._commit(test, False)

    def _selector(self, member: str, values: Vector) -> Expression | None:
        """The first test of the spec's expressions for a member that gives these values."""
        tests = conditions_over(self._known.expressions.get(member, ()), self._known.vector, self._known.input_channels)
        return next((test for test in tests if self._known.vector(test) == values), None)

    def _known_flag(self, values: Vector) -> str:
        """The name of a condition with these values that is in use; empty if there is none."""
        return next((name for name in self._flags if self._flags[name] == values), "")

    def _condition(self, member: str, values: Vector) -> Expression | None:
        """The spec's condition for the presence of a member, if it gives these values."""
        for kinds, expression in self._known.expressions.get(member, ()):
            renamed = isinstance(expression, Name) and expression.path not in {*self._known.source_names, *self._values}
            if "when" in kinds and self._known.vector(expression) == values and not renamed:
                return expression
        return None

    def parameter(self, values: Vector, place: Place) -> Expression:
        """An expression with these values: of known names, a tuple of such expressions, or a new parameter."""
        if expression := self._find(values, place):
            return self._commit(expression, place.default)
        if expression := self._elements(values, place):
            return self._commit(expression, None)
        known = {**self._known.vectors, **self._values}
        role = _CLEARER.get(place.role, place.role)
        if role == _CHANNELS and role in known and place.reads:
            return self._channels_of(place.reads, values, place)
        wanted = role if role != "size" and role not in known else f"{place.owner}_{role}"
        return self._use(self._free(wanted), _completed(values, place.kinds), place.default, place.kinds)

    def _channels_of(self, read: str, values: Vector, place: Place) -> Name:
        """The parameter with the channels of a value: one for all its readers, of which an instance may lack some."""
        name, known = self._read.get(read, ("", values))
        if not name or not all(ABSENT in (a, b) or a == b for a, b in zip(values, known, strict=True)):
            name, known = self._free(identifier(f"{read}_channels")), values
        values = tuple(b if a is ABSENT else a for a, b in zip(values, known, strict=True))
        self._read[read] = name, values
        self._values[name] = _completed(values, place.kinds)
        return self._use(name, self._values[name], place.default, place.kinds)

    def spec_expression(self, values: Vector, place: Place) -> Expression | None:
        """The spec's expression for a number that is equal in all instances that have it; None if it uses new names."""
        expression = self._stated.of_input_channels(values, place) or self._stated.of_member(values, place)
        if place.role not in OUTPUT_CHANNELS:
            expression = expression or self._stated.of_first_channels(values, place)
        expression = expression or self._elements(values, place)
        names = names_of(expression)
        if self.names().union(self._expected).issuperset(names):
            for name in set(names) - self.names():  # what was expected to use them may now do without
                self._commit(Name(name), place.default)
            return expression if names else None
        self._postponed.append(names)
        return None

    def _find(self, values: Vector, place: Place) -> Expression | None:
        """The best expression of known names with these values; None if there is none."""
        if received := self._stated.of_input_channels(values, place):
            return received
        stated = self._stated.of_member(values, place)
        if isinstance(stated, Name):
            return stated
        known = {**self._known.vectors, **self._values}
        fitting = [name for name in known if may_name(self._kinds[name], place.kinds)]
        if equal := next((name for name in fitting if agree(values, known[name])), ""):
            return Name(equal)
        if (stated := stated or self._stated.of_other_members(values, place)) and self._is_worthwhile(stated, values):
            return stated
        scaled = (multiple_of(values, Name(name), known[name]) for name in fitting if self._scales(name, place))
        stated_by = (self._stated.multiples, self._stated.halves, self._stated.shares)
        guesses = (*scaled, *(guess for guesses in stated_by for guess in guesses(values, place)))
        return next((expression for expression in guesses if expression is not None), None)

    def _is_worthwhile(self, expression: Expression, values: Vector) -> bool:
        """Whether an expression is clearer than a parameter: not if it needs another one only to compute a switch."""
        switches = all(value is ABSENT or isinstance(value, bool) for value in values)
        return not switches or self.names().union(self._expected).issuperset(names_of(expression))

    def _scales(self, name: str, place: Place) -> bool:
        """Whether a multiple of a name may stand for a number: both have to be channels, or sizes."""
        kinds = self._kinds[name]
        return (
            name in self._known.vectors
            and (kinds == ANY or not kinds.isdisjoint({"channels", "size"}))
            and bool(place.kinds & {"channels", "size"})
        )

    def _elements(self, values: Vector, place: Place) -> TupleOf | None:
        """A tuple with an expression for each element, `(in_channels, 1, 1)`; None if one of them is not expression."""
        if place.kinds & PER_AXIS:
            values = spread(values)
        present = [value for value in values if value is not ABSENT]
        if not all(isinstance(value, tuple) and len(value) == len(present[0]) for value in present):
            return None
        place, elements = replace(place, kinds=within(place.kinds)), list[Expression]()
        before: set[str] = set()  # names that earlier elements read
        for index in range(len(present[0])):
            column = tuple(v if v is ABSENT else v[index] for v in values)
            expression = self._element(column, place)
            if expression is None:
                return None
            for height, width in self._known.square:  # of elements that read one of these, the second reads the width
                if not {height, width} <= {*names_of(expression)}:
                    size = width if height in before else height
                    expression = rename_in(expression, {height: size, width: size})
            before |= {*names_of(expression)}
            elements.append(expression)
        together = TupleOf(tuple(elements))
        return together if names_of(together) and not self._known.is_loose(together) else None

    def _element(self, column: Vector, place: Place) -> Expression | None:
        present = [value for value in column if value is not ABSENT]
        if all(is_same(value, present[0]) for value in present):
            return (self.spec_expression(column, place) if len(present) < len(column) else None) or Literal(present[0])
        return self._find(column, place) or self._elements(column, place)

    def _commit(self, expression: Expression, default: LiteralValue) -> Expression:
        """Mark the names of an expression as used, and return it."""
        for name in names_of(expression):
            vector = self._values.get(name, self._known.vectors.get(name, ()))
            self._use(name, vector, default if isinstance(expression, Name) else None, self._kinds[name])
        return expression

    def _use(self, name: str, values: Vector, default: LiteralValue, kinds: Kinds) -> Name:
        """Mark a name as used: it is computed, or else becomes a parameter."""
        if name in self._computed or self._compute(name):
            return Name(name)
        self._values.setdefault(name, values)
        self._kinds.setdefault(name, kinds)
        self._defaults.setdefault(name, []).append(default)
        return Name(name)

    def _compute(self, name: str) -> bool:
        """Add a name to the computed ones, if its value is the spec's default in all instances."""
        source = self._known.sources.get(name)
        if source is None:
            return False
        self._commit(source, None)
        self._computed[name] = source
        return True

    def _free(self, wanted: str) -> str:
        """The name, with a number appended if it is taken."""
        while wanted in self._reserved:
            wanted += "_"
        taken = {*self._reserved, *self._values, *self._computed, *self._known.vectors}
        names = (wanted if count == 1 else f"{wanted}_{count}" for count in itertools.count(1))
        return next(name for name in names if name not in taken)


def _completed(values: Vector, kinds: Kinds) -> Vector:
    """The values, with any value for the instances that have none: that of another one, or an empty tuple of items."""
    some = () if list_depth(kinds) else next(value for value in values if value is not ABSENT)
    return tuple(some if value is ABSENT else value for value in values)
