"""The numbers in which instances of a block differ, each as an expression that holds for all of them.

A number that differs between instances becomes the spec's expression for it, if that gives its value in every instance;
else a known name of the same kind that is equal or of which it is a multiple (channels by channels, a stride by a
stride); else a new parameter.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final

from netspec.lowering.blocks.conditions import Conditions
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
from netspec.lowering.blocks.places import Place, spread
from netspec.lowering.blocks.stated import OUTPUT_CHANNELS, Stated
from netspec.lowering.blocks.used import UsedNames
from netspec.lowering.python.naming import identifier
from netspec.lowering.python.rewrite import rename_in
from netspec.lowering.python.source import (
    Call,
    Each,
    Expression,
    Literal,
    Name,
    Repeated,
    TupleOf,
)

_CHANNELS: Final = "in_channels"
_CLEARER: Final = {"p": "rate", "target_shape": "shape"}  # parameter names for arguments that are unclear by themselves


class Numbers:
    """Finds expressions for the numbers in which instances differ, and names parameters for the others.

    Args:
        given: the arguments of each instance.
        reserved: names that no parameter may have.
        kinds_within: returns the kinds of an attribute of a member, given both names.
        expected: names that will be parameters, or computed, in the end.

    Attributes:
        used: the parameters that expressions use, and what is computed from them.
        conditions: finds conditions, which use names too.
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
        self._read: dict[str, tuple[str, Vector]] = {}  # of values that members read: the name of their channels
        self.used = UsedNames(self._known, reserved)
        self.conditions = Conditions(self._known, self._stated, self.used)

    def has_postponed(self) -> bool:
        """Whether `spec_expression` refused an expression for new names, all of which were used later."""
        return any(self.used.names().issuperset(names) for names in self._postponed)

    def repeats_none(self, value: Expression, lacking: Sequence[bool]) -> bool:
        """Whether a value is repeated 0 times in the instances that lack it, so that it needs no condition."""
        inner = value.args[0] if isinstance(value, Call) and len(value.args) == 1 else value
        if isinstance(inner, Each):
            empty = tuple(() if lacks else ABSENT for lacks in lacking)
            vectors = [self.used.values.get(items.path) if isinstance(items, Name) else None for items in inner.tuples]
            return any(lacking) and all(vector is not None and agree(empty, vector) for vector in vectors)
        if not isinstance(inner, Repeated) or not set(names_of(inner.number)) <= set(self._known.vectors):
            return False
        counts = self._known.vector(inner.number)
        return any(lacking) and all(count == 0 for count, lacks in zip(counts, lacking, strict=True) if lacks)

    def input_channels(self, variables: Collection[str]) -> str:
        """The hint with the channels of the block's only input among these variables; empty if there is not one."""
        hints = [hint for variable, hint in self._received.items() if variable in variables]
        return hints[0] if len(hints) == 1 else ""

    def expression(self, values: Vector, place: Place) -> Expression:
        """An expression with these values: of known names, a tuple of such expressions, or a new parameter."""
        if expression := self._find(values, place):
            return self.used.commit(expression, place.default)
        if expression := self._elements(values, place):
            return self.used.commit(expression)
        known = {**self._known.vectors, **self.used.values}
        role = _CLEARER.get(place.role, place.role)
        if role == _CHANNELS and role in known and place.reads:
            return self._channels_of(place.reads, values, place)
        wanted = role if role != "size" and role not in known else f"{place.owner}_{role}"
        return self.used.add(self.used.free(wanted), _completed(values, place.kinds), place.default, place.kinds)

    def _channels_of(self, read: str, values: Vector, place: Place) -> Name:
        """The parameter with the channels of a value: one for all its readers, of which an instance may lack some."""
        name, known = self._read.get(read, ("", values))
        if not name or not all(ABSENT in (a, b) or a == b for a, b in zip(values, known, strict=True)):
            name, known = self.used.free(identifier(f"{read}_channels")), values
        values = tuple(b if a is ABSENT else a for a, b in zip(values, known, strict=True))
        self._read[read] = name, values
        self.used.values[name] = _completed(values, place.kinds)
        return self.used.add(name, self.used.values[name], place.default, place.kinds)

    def spec_expression(self, values: Vector, place: Place) -> Expression | None:
        """The spec's expression for a number that is equal in all instances that have it; None if it uses new names."""
        expression = self._stated.of_input_channels(values, place) or self._stated.of_member(values, place)
        if place.role not in OUTPUT_CHANNELS:
            expression = expression or self._stated.of_first_channels(values, place)
        expression = expression or self._elements(values, place)
        names = names_of(expression)
        if self.used.names().union(self._expected).issuperset(names):
            for name in set(names) - self.used.names():  # what was expected to use them may now do without
                self.used.commit(Name(name), place.default)
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
        known = {**self._known.vectors, **self.used.values}
        fitting = [name for name in known if may_name(self.used.kinds[name], place.kinds)]
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
        return not switches or self.used.names().union(self._expected).issuperset(names_of(expression))

    def _scales(self, name: str, place: Place) -> bool:
        """Whether a multiple of a name may stand for a number: both have to be channels, or sizes."""
        kinds = self.used.kinds[name]
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


def _completed(values: Vector, kinds: Kinds) -> Vector:
    """The values, with any value for the instances that have none: that of another one, or an empty tuple of items."""
    some = () if list_depth(kinds) else next(value for value in values if value is not ABSENT)
    return tuple(some if value is ABSENT else value for value in values)
