"""What is known of the numbers of a block's instances: what they were given, and what the spec computes from that."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from netspec.graph import Formula
from netspec.lowering.blocks.formulas import UNKNOWN, read_formula, value_in
from netspec.lowering.blocks.kinds import ANY, Kinds, is_known, kinds_of
from netspec.lowering.python.expressions import LOGIC
from netspec.lowering.python.rewrite import children_of, names_in, with_children
from netspec.lowering.python.source import (
    Attribute,
    Binary,
    Conditional,
    Expression,
    Literal,
    LiteralValue,
    Name,
    Subscript,
)

ABSENT: Final = object()  # in place of a value of an instance that does not have it
Vector = tuple[Any, ...]
Hints = tuple[tuple[str, LiteralValue], ...]
KindsWithin = Callable[[str, str], Kinds]


@dataclass(frozen=True, slots=True)
class Given:
    """What an instance was given.

    Attributes:
        hints: numbers by name, first those that are to be preferred.
        formulas: what its block says by expressions.
        seen: the values of the names in those.
        channels: the hint that says how many channels arrive, if any does.
        others: those that say it of what the block receives besides.
        received: the same hints, by the variables that hold what is received.
    """

    hints: Hints = ()
    formulas: tuple[Formula, ...] = ()
    seen: Mapping[str, object] = field(default_factory=dict)
    channels: str = ""
    others: tuple[str, ...] = ()
    received: Mapping[str, str] = field(default_factory=dict)

    @property
    def arriving(self) -> tuple[str, ...]:
        """The hints that say how many channels arrive."""
        return (self.channels, *self.others) if self.channels else self.others

    @property
    def order(self) -> list[str]:
        """The layers of the block of which it says something by an expression, `when` among those."""
        return list(dict.fromkeys(formula.layer for formula in self.formulas))

    def pads(self, member: str) -> bool | None:
        """Whether the spec pads a member, by an expression; None where it says nothing."""
        for formula in self.formulas:
            if formula.layer == member and "padding" in kinds_of(formula.attribute):
                stated = read_formula(formula.code)
                value = UNKNOWN if stated is None else value_in(stated, self.seen)
                return bool(value) if type(value) is int else None
        return None


class Known:
    """What the instances of a block were given, by the names that source has for it, and what the spec says with those.

    Attributes:
        vectors: the values of all instances, by name.
        kinds: what kinds of number a name may stand for.
        called: the name in source, by the spec's own.
        sources: what the spec computes a name from when nothing is given for it, as it is in all instances.
        defaults: the number that the spec takes for a name when nothing is given for it.
        said: what the spec says of each layer, and of what kinds.
        loose: names that the spec computes when nothing is given for them, and some instances are given otherwise.
    """

    def __init__(self, given: Sequence[Given], reserved: Collection[str], kinds_within: KindsWithin) -> None:
        self._given = given
        self.arriving = ""  # what the channels that arrive are called
        self.vectors: dict[str, Vector] = {}
        self.kinds: dict[str, Kinds] = {}
        self.called: dict[str, str] = {}
        self.sources: dict[str, Expression] = {}
        self.defaults: dict[str, LiteralValue] = {}
        self.said: dict[str, list[tuple[Kinds, Expression]]] = {}
        self.loose: set[str] = set()
        formulas = given[0].formulas
        kinds = {
            formula: kinds_within(formula.layer, formula.attribute.partition(".")[0])
            for formula in formulas
            if formula.layer
        }
        for name, vector in _varying(given, kinds).items():
            own = name
            while own in reserved or own in self.vectors:
                own += "_"
            self.called[name], self.vectors[own] = own, vector
            self.kinds[own] = _kinds_of_hint(name, kinds, given[0].arriving)
        self.arriving = self.called.get(given[0].channels, "")
        for formula in formulas:
            if not formula.layer and formula.attribute in self.called:
                stated = read_formula(formula.code)
                if isinstance(stated, Literal):
                    self.defaults[self.called[formula.attribute]] = stated.value
                else:
                    self._derive(formula.attribute, stated)
        self.arriving = self.arriving or self._same_channels()
        for formula, kind in kinds.items():
            if expression := self._resolve(read_formula(formula.code)):
                self.said.setdefault(formula.layer, []).append((kind, self._simple(expression)))

    def _same_channels(self) -> str:
        """What the channels that arrive are called if a parameter of the spec tells them as well; else empty."""
        arriving = tuple(dict(given.hints).get(given.channels) for given in self._given)
        fitting = (name for name in self.vectors if "channels" in (self.kinds[name] or {"channels"}))
        return next((name for name in fitting if self.vectors[name] == arriving), "")

    def _derive(self, name: str, default: Expression | None) -> None:
        """Compute a hint from others, where the spec does so; what is then no more than another is called like that."""
        own, source = self.called[name], self._resolve(default)
        if source is None or not names_of(source) or own in names_of(source):
            return
        if self.vector(source) != self.vectors[own]:
            self.loose.add(own)
            return
        source = self._simple(source)
        if isinstance(source, Name):
            self.called[name] = source.path
            del self.vectors[own]
        else:
            self.sources[own] = source

    def _simple(self, expression: Expression) -> Expression:
        """The expression, or the same number said with less: `width` for `width * 64 // 64`."""
        names = {*names_of(expression)}
        if len(names) != 1 or isinstance(expression, Name) or all(_is_plain(own) for own in children_of(expression)):
            return expression
        (name,) = names
        vector = self.vector(expression)
        return (
            Name(name)
            if agree(vector, self.vectors[name])
            else multiple_of(vector, Name(name), self.vectors[name]) or expression
        )

    def is_loose(self, expression: Expression) -> bool:
        """Whether an expression hangs on a name that is loose: who calls the class would have to compute that."""
        return any(
            name in self.loose or (name in self.sources and self.is_loose(self.sources[name]))
            for name in names_of(expression)
        )

    def vector(self, expression: Expression) -> Vector:
        """The values of an expression over what is known."""
        names = names_of(expression)
        rows = [{name: self.vectors[name][index] for name in names} for index in range(len(self._given))]
        return tuple(value_in(expression, row) for row in rows)

    def _resolve(self, expression: Expression | None) -> Expression | None:
        """What the spec says, over hints and numbers; None where it needs more than those."""
        if expression is None:
            return None
        values = [value_in(expression, given.seen) for given in self._given]
        if values[0] is not UNKNOWN and all(is_same(value, values[0]) for value in values):
            plain = isinstance(values[0], bool | int | float | str)
            return Literal(values[0]) if plain else None
        if isinstance(expression, Name | Attribute | Subscript):
            return self._resolve_name(expression, tuple(values))
        if isinstance(expression, Conditional) and isinstance(test := self._resolve(expression.test), Literal):
            return self._resolve(expression.value if test.value else expression.otherwise)  # as it is in all instances
        inner = [self._resolve(child) for child in children_of(expression)]
        if isinstance(expression, Binary) and expression.operator in LOGIC:
            # What holds, or does not, in all instances says nothing: what it comes to does not hang on it.
            inner = [child for child in inner if not isinstance(child, Literal)] if None not in inner else []
            return (
                inner[0] if len(inner) == 1 else with_children(expression, [c for c in inner if c]) if inner else None
            )
        return with_children(expression, [child for child in inner if child]) if inner and all(inner) else None

    def _resolve_name(self, expression: Name | Attribute | Subscript, values: Vector) -> Expression | None:
        own = self.called.get(expression.path, "") if isinstance(expression, Name) else ""
        others = (self.called.get(name, "") for name in self._given[0].others)
        known = (name for name in (own, self.arriving, *others) if name)
        return next((Name(name) for name in known if self.vectors.get(name) == values), None)


def _varying(given: Sequence[Given], kinds: Mapping[Formula, Kinds]) -> dict[str, Vector]:
    """The names that all have for numbers, where those differ; of channels that arrive, if no other name tells them."""
    by_name = [dict(own.hints) for own in given]
    found: dict[str, Vector] = {}
    for name in by_name[0]:
        if not all(name in own for own in by_name):
            continue
        vector = tuple(own[name] for own in by_name)
        if all(is_same(value, vector[0]) for value in vector):
            continue
        arriving = given[0].arriving
        known = [own for k, own in found.items() if "channels" in (_kinds_of_hint(k, kinds, arriving) or {"channels"})]
        if name not in arriving or vector not in known:
            found[name] = vector
    return found


def _kinds_of_hint(name: str, kinds: Mapping[Formula, Kinds], arriving: Collection[str] = ()) -> Kinds:
    """What the spec uses a parameter for: as it is, else in expressions; by its name where it uses it for nothing."""
    if name in arriving:
        return kinds_of("channels")
    numbers = {formula: own for formula, own in kinds.items() if formula.attribute != "when"}
    whole = [own for formula, own in numbers.items() if formula.code == name]
    within = whole or [own for formula, own in numbers.items() if name in names_of(read_formula(formula.code))]
    if within:
        return frozenset().union(*within)
    return kinds_of(name) if is_known(name) else ANY


def names_of(expression: Expression | None) -> list[str]:
    """The names that an expression reads."""
    return [] if expression is None else list(names_in(expression))


def _is_plain(expression: Expression) -> bool:
    return isinstance(expression, Name | Literal)


def is_same(value: object, other: object) -> bool:
    """Whether two values are one, types and all: True is not 1."""
    if isinstance(value, tuple) and isinstance(other, tuple):
        return len(value) == len(other) and all(map(is_same, value, other))
    return type(value) is type(other) and value == other


def agree(values: Vector, vector: Vector) -> bool:
    """Whether the values are those of a vector, types and all, wherever there is one."""
    return all(a is ABSENT or is_same(a, b) for a, b in zip(values, vector, strict=True))


def multiple_of(values: Vector, expression: Expression, vector: Vector) -> Expression | None:
    """The values as a multiple of what an expression gives, or a whole part of it: `width * 4`, `width // 4`."""
    pairs = [(a, b) for a, b in zip(values, vector, strict=True) if a is not ABSENT]
    if not pairs or not all(type(a) is int and type(b) is int and a > 0 and b > 0 for a, b in pairs):
        return None
    up, down = pairs[0][0] // pairs[0][1], pairs[0][1] // pairs[0][0]
    if up > 1 and all(a == up * b for a, b in pairs):
        return Binary("*", expression, Literal(up))
    if down > 1 and all(b == down * a for a, b in pairs):
        return Binary("//", expression, Literal(down))
    return None
