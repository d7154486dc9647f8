"""The parameters of a class or function that several instances share, named after what gives their values.

A number is named after what the spec says of its layer, if that gives it in every instance; else after something of the
same kind that is equal, or of which it is a multiple: channels after channels, a stride after a stride.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from netspec.lowering.blocks.kinds import ANY, PER_AXIS, Kinds, kinds_of, may_name
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
from netspec.lowering.python.expressions import LOGIC
from netspec.lowering.python.source import Binary, Call, Expression, Literal, LiteralValue, Name, Repeated, TupleOf

_GIVEN: Final = ("out_channels", "out_features", "filters", "units")
_SPOKEN: Final = {"p": "rate", "target_shape": "shape"}  # what an argument is called where its function does not stand


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a class or function; `default` is None for one that has to be given."""

    name: str
    values: Vector
    default: LiteralValue = None
    kinds: Kinds = ANY

    @property
    def annotation(self) -> str:
        """Its type, as source has it."""
        kinds = {_annotation(value) for value in (*self.values, *([] if self.default is None else [self.default]))}
        if kinds == {"int", "float"}:
            return "float"
        return " | ".join(sorted(kinds))


def _annotation(value: object) -> str:
    if isinstance(value, tuple):
        return f"tuple[{', '.join(_annotation(item) for item in value)}]"
    return "None" if value is None else type(value).__name__


class ParameterNaming:
    """The parameters that instances need, named after what gives their values, if anything does.

    Args:
        given: to each instance.
        reserved: names that no parameter may have.
        kinds_within: the kinds of what a member, given its name, is told by an attribute.
    """

    def __init__(
        self,
        given: Sequence[Given],
        reserved: Collection[str],
        kinds_within: KindsWithin = lambda member, attribute: kinds_of(attribute),
    ) -> None:
        self._known = Known(given, reserved, kinds_within)
        self._received = given[0].received
        self._reserved = reserved
        self._values: dict[str, Vector] = {}
        self._kinds = dict(self._known.kinds)
        self._defaults: dict[str, list[LiteralValue]] = {}
        self._flags: dict[str, Vector] = {}  # what says whether members are there
        self._computed: dict[str, Expression] = {}

    def parameters(self) -> tuple[Parameter, ...]:
        """Those that have to be given first; of those the channels that arrive, and then in the order of the spec."""
        found = [Parameter(name, own, self._default(name), self._kinds[name]) for name, own in self._values.items()]
        first = self._known.arriving
        stated = [name for name in self._known.vectors if name in self._values]

        def order(own: Parameter) -> tuple[bool, bool, bool, int]:
            position = stated.index(own.name) if own.name in stated else len(stated)
            return own.default is not None, own.name != first, isinstance(own.default, bool), position

        return tuple(sorted(found, key=order))

    def _default(self, name: str) -> LiteralValue:
        """The spec's own default, else that of the arguments that a parameter is given for, if it is one."""
        if name in self._known.defaults:
            return self._known.defaults[name]
        defaults = self._defaults[name]
        default = defaults[0] if all(d == defaults[0] for d in defaults) else None
        values = self._values[name]
        if isinstance(default, bool) and name in self._flags:
            return max((False, True), key=values.count)  # what most instances would say
        if default is not None and default not in values:
            default = max(dict.fromkeys(values), key=values.count)  # so too where none would say the argument's own
        if default is None and all(isinstance(value, bool) for value in values):
            return False  # a switch is said by its name, and where it is on
        return default

    def computed(self) -> tuple[tuple[str, Expression], ...]:
        """What is computed from parameters before anything else, by name, each from those before."""
        return tuple(self._computed.items())

    def repeats_none(self, value: Expression, lacking: Sequence[bool]) -> bool:
        """Whether something is repeated, and not once where it is lacking: that need not be said."""
        inner = value.args[0] if isinstance(value, Call) and len(value.args) == 1 else value
        if not isinstance(inner, Repeated) or not set(names_of(inner.number)) <= set(self._known.vectors):
            return False
        counts = self._known.vector(inner.number)
        return any(lacking) and all(count == 0 for count, none in zip(counts, lacking, strict=True) if none)

    def received_by(self, read: Collection[str]) -> str:
        """The hint of the channels that a member receives which reads these variables; empty of what is made within."""
        hints = [hint for variable, hint in self._received.items() if variable in read]
        return hints[0] if len(hints) == 1 else ""

    def is_said(self, member: str, values: Vector) -> bool:
        """Whether the spec's condition says whether a member is there."""
        return self._condition(member, values) is not None

    def flag(self, member: str, values: Vector, pads: str = "") -> Expression:
        """What says whether a member is there: the spec's condition, or a parameter, one for all that go together.

        The padding of a member is there where it is more than 0, and that is said as the spec does.
        """
        for kinds, padding in self._known.said.get(pads, ()):
            if "padding" in kinds and tuple(map(bool, self._known.vector(padding))) == values:
                return self._commit(Binary(">", padding, Literal(0)), None)
        for kinds, count in self._known.said.get(member, ()):
            if "repeat" in kinds and tuple(type(n) is int and n > 0 for n in self._known.vector(count)) == values:
                least = count.right if isinstance(count, Binary) and count.operator == "-" else None
                if isinstance(count, Binary) and isinstance(least, Literal):
                    return self._commit(Binary(">", count.left, least), None)
                return self._commit(Binary(">", count, Literal(0)), None)
        known = next((name for name in self._flags if self._flags[name] == values), "")
        name = known or self._free(f"has_{member}")
        if condition := self._condition(member, values) or self._condition(pads, values):
            if isinstance(condition, Name):
                self._flags[condition.path] = values
            if not isinstance(condition, Binary) or condition.operator not in LOGIC:
                return self._commit(condition, False)
            if not known:
                self._computed[name] = self._commit(condition, None)  # said once, and called by what it tells
        self._flags[name] = values
        return Name(name) if name in self._computed else self._use(name, values, False, kinds_of("when"))

    def _condition(self, member: str, values: Vector) -> Expression | None:
        """What the spec says of when a member is there, if that is what it comes to."""
        for kinds, expression in self._known.said.get(member, ()):
            changed = isinstance(expression, Name) and expression.path not in {*self._known.called, *self._values}
            if "when" in kinds and self._known.vector(expression) == values and not changed:
                return expression
        return None

    def parameter(self, values: Vector, place: Place) -> Expression:
        """What gives these values: what is known, or a tuple of that, or a new parameter."""
        if found := self._find(values, place):
            return self._commit(found, place.default)
        if found := self._elements(values, place):
            return self._commit(found, None)
        known = {**self._known.vectors, **self._values}
        some = next(value for value in values if value is not ABSENT)
        values = tuple(some if value is ABSENT else value for value in values)
        role = _SPOKEN.get(place.role, place.role)
        wanted = role if role != "size" and role not in known else f"{place.owner}_{role}"
        return self._use(self._free(wanted), values, place.default, place.kinds)

    def said(self, values: Vector, place: Place) -> Expression | None:
        """What the spec says of a number that is the same wherever it is at all, if its names are used already."""
        arriving = place.role not in _GIVEN  # how many channels a layer gives is its own
        found = self._find_received(values, place) or self._find_said(values, place)
        found = found or (self._find_arriving(values, place) if arriving else None)
        found = found or self._elements(values, place)
        names = names_of(found)
        return found if names and all(name in self._values or name in self._computed for name in names) else None

    def _find(self, values: Vector, place: Place) -> Expression | None:
        """The expression that gives these values and has a reason to."""
        if received := self._find_received(values, place):
            return received
        said = self._find_said(values, place)
        if isinstance(said, Name):
            return said
        known = {**self._known.vectors, **self._values}
        fitting = [name for name in known if may_name(self._kinds[name], place.kinds)]
        if equal := next((name for name in fitting if agree(values, known[name])), ""):
            return Name(equal)
        if said := said or self._find_elsewhere(values, place):
            return said
        scaled = (multiple_of(values, Name(name), known[name]) for name in fitting if self._scales(name, place))
        guesses = (*scaled, *self._multiples(values, place), *self._halves(values, place))
        return next((found for found in guesses if found is not None), None)

    def _halves(self, values: Vector, place: Place) -> Iterator[Expression]:
        """Half of the member's own kernel, as a padding by which a map keeps its size."""
        for kinds, kernel in self._known.said.get(place.member, ()) if "padding" in place.kinds else ():
            vector = self._known.vector(kernel)
            whole = "kernel" in kinds and bool(names_of(kernel)) and all(type(size) is int for size in vector)
            if whole and agree(values, tuple(size // 2 for size in vector)):
                yield Binary("//", kernel, Literal(2))

    def _multiples(self, values: Vector, place: Place) -> Iterator[Expression | None]:
        """Of what the spec says of channels: as many as two layers give that are concatenated."""
        if "channels" in place.kinds:
            for kinds, expression in (said for member in self._known.said.values() for said in member):
                if "channels" in kinds and names_of(expression):
                    yield multiple_of(values, expression, self._known.vector(expression))

    def _scales(self, name: str, place: Place) -> bool:
        """Whether a multiple of one number may stand for another: where both are channels."""
        named = self._kinds[name]
        return (
            name in self._known.vectors
            and (named == ANY or "channels" in named)
            and bool(place.kinds & {"channels", "size"})
        )

    def _find_said(self, values: Vector, place: Place) -> Expression | None:
        """What the spec says of the member, by an attribute of the same kind, with these values."""
        for kinds, expression in self._known.said.get(place.member, ()):
            if may_name(kinds, place.kinds) and "when" not in kinds and agree(values, self._known.vector(expression)):
                return expression
        return None

    def _find_received(self, values: Vector, place: Place) -> Expression | None:
        """The channels of what the block receives, where the member receives that."""
        own = self._known.called.get(place.arriving, "")
        fits = own in self._known.vectors and "channels" in place.kinds and place.role not in _GIVEN
        return Name(own) if fits and agree(values, self._known.vectors[own]) else None

    def _find_arriving(self, values: Vector, place: Place) -> Expression | None:
        """The channels that arrive at the block, or else those that another member is said to give."""
        first = self._known.arriving
        if first and "channels" in place.kinds and agree(values, self._known.vectors[first]):
            return Name(first)
        return self._find_elsewhere(values, place)

    def _find_elsewhere(self, values: Vector, place: Place) -> Expression | None:
        """What the spec says of another member: a layer has as many channels as the one before gives."""
        if "channels" in place.kinds:
            for kinds, expression in (said for member in self._known.said.values() for said in member):
                if "channels" in kinds and names_of(expression) and agree(values, self._known.vector(expression)):
                    return expression
        return None

    def _elements(self, values: Vector, place: Place) -> TupleOf | None:
        """Tuples element by element, `(in_channels, 1, 1)`; nothing where one of them is not known."""
        if place.kinds & PER_AXIS:
            values = spread(values)
        present = [value for value in values if value is not ABSENT]
        if not all(isinstance(value, tuple) and len(value) == len(present[0]) for value in present):
            return None
        elements: list[Expression] = []
        for index in range(len(present[0])):
            column = tuple(v if v is ABSENT else v[index] for v in values)
            found = self._element(column, place)
            if found is None:
                return None
            elements.append(found)
        whole = TupleOf(tuple(elements))
        return whole if names_of(whole) and not self._known.is_loose(whole) else None

    def _element(self, column: Vector, place: Place) -> Expression | None:
        present = [value for value in column if value is not ABSENT]
        if all(is_same(value, present[0]) for value in present):
            return (self.said(column, place) if len(present) < len(column) else None) or Literal(present[0])
        return self._find(column, place) or self._elements(column, place)

    def _commit(self, expression: Expression, default: LiteralValue) -> Expression:
        """The expression, its names in use from now on."""
        for name in names_of(expression):
            vector = self._values.get(name, self._known.vectors.get(name, ()))
            self._use(name, vector, default if isinstance(expression, Name) else None, self._kinds[name])
        return expression

    def _use(self, name: str, values: Vector, default: LiteralValue, kinds: Kinds) -> Name:
        if name in self._computed or self._compute(name):
            return Name(name)
        self._values.setdefault(name, values)
        self._kinds.setdefault(name, kinds)
        self._defaults.setdefault(name, []).append(default)
        return Name(name)

    def _compute(self, name: str) -> bool:
        """Let a hint be computed before all else, where it is one that is."""
        source = self._known.sources.get(name)
        if source is None:
            return False
        self._commit(source, None)
        self._computed[name] = source
        return True

    def _free(self, wanted: str) -> str:
        """The name, or where another parameter has it, with a number behind it."""
        while wanted in self._reserved:
            wanted += "_"
        taken = {*self._reserved, *self._values, *self._computed, *self._known.vectors}
        names = (wanted if count == 1 else f"{wanted}_{count}" for count in itertools.count(1))
        return next(name for name in names if name not in taken)
