"""What is known about the numbers of a block's instances: their arguments, and the spec's expressions over them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from netspec.graph import Formula
from netspec.lowering.blocks.formulas import UNKNOWN, list_read, read_formula, value_in
from netspec.lowering.blocks.kinds import ANY, SIZE, Kinds, each_of, is_known, kinds_of
from netspec.lowering.python.rewrite import children_of, names_in, with_children
from netspec.lowering.python.source import (
    LOGIC,
    Attribute,
    Binary,
    Conditional,
    Expression,
    Literal,
    LiteralValue,
    Name,
    Subscript,
)

ABSENT: Final = object()  # in place of the value of an instance that does not have it
Vector = tuple[Any, ...]  # a value for each instance
Hints = tuple[tuple[str, LiteralValue], ...]
KindsWithin = Callable[[str, str], Kinds]


@dataclass(frozen=True, slots=True)
class Given:
    """The arguments of an instance.

    Attributes:
        hints: numbers by name, preferred ones first.
        formulas: the expressions in the block's definition.
        names: the value of each name in the formulas.
        channels: the name of the hint with the channels of the first input, if there is one.
        others: the names of the hints with the channels of further inputs.
        received: the names of these hints by the variable of the input.
        sizes: the names of the hints with the heights and widths of inputs that are maps, in pairs.
    """

    hints: Hints = ()
    formulas: tuple[Formula, ...] = ()
    names: Mapping[str, object] = field(default_factory=dict)
    channels: str = ""
    others: tuple[str, ...] = ()
    received: Mapping[str, str] = field(default_factory=dict)
    sizes: tuple[str, ...] = ()

    @property
    def channel_hints(self) -> tuple[str, ...]:
        """The names of the hints with the channels of inputs."""
        return (self.channels, *self.others) if self.channels else self.others

    @property
    def order(self) -> list[str]:
        """The layers that have formulas, in the order of the block."""
        return list(dict.fromkeys(formula.layer for formula in self.formulas))

    def pads(self, member: str) -> bool | None:
        """Whether formulas give a member padding on any side; None if there are none, or they are not known."""
        sides = [
            UNKNOWN if (expression := read_formula(formula.code)) is None else value_in(expression, self.names)
            for formula in self.formulas
            if formula.layer == member and "padding" in kinds_of(formula.attribute.partition(".")[0])
        ]
        return any(sides) if sides and all(type(side) is int for side in sides) else None


class Known:
    """The arguments of a block's instances by their names in source, and the spec's expressions over those names.

    Attributes:
        input_channels: the name of the channels of the first input; empty if there is none.
        vectors: the values in all instances, by name.
        kinds: the kinds of number that each name may stand for.
        source_names: the name in source of each name in the spec.
        sources: the default expressions of names that have the default value in all instances.
        defaults: the default values of names, where they are numbers.
        expressions: the spec's expressions for each layer, with the kinds of the attributes.
        loose: names with a default expression that have another value in some instances.
    """

    def __init__(self, given: Sequence[Given], reserved: Collection[str], kinds_within: KindsWithin) -> None:
        self._given = given
        self.input_channels = ""
        self.vectors: dict[str, Vector] = {}
        self.kinds: dict[str, Kinds] = {}
        self.source_names: dict[str, str] = {}
        self.sources: dict[str, Expression] = {}
        self.defaults: dict[str, LiteralValue] = {}
        self.expressions: dict[str, list[tuple[Kinds, Expression]]] = {}
        self.loose: set[str] = set()
        formulas = given[0].formulas
        kinds = {
            formula: kinds_within(formula.layer, formula.attribute.partition(".")[0])
            for formula in formulas
            if formula.layer
        }
        channel_hints = given[0].channel_hints
        for name, vector in _varying(given, kinds).items():
            source_name = name
            while source_name in reserved or source_name in self.vectors:
                source_name += "_"
            self.source_names[name], self.vectors[source_name] = source_name, vector
            self.kinds[source_name] = SIZE if name in given[0].sizes else _kinds_of_hint(name, kinds, channel_hints)
        self.input_channels = self.source_names.get(given[0].channels, "")
        for formula in formulas:
            if not formula.layer and formula.attribute in self.source_names:
                default = read_formula(formula.code)
                if isinstance(default, Literal):
                    self.defaults[self.source_names[formula.attribute]] = default.value
                else:
                    self._derive(formula.attribute, default)
        self.input_channels = self.input_channels or self._same_channels()
        for formula, kind in kinds.items():
            if expression := self._resolve(read_formula(formula.code)):
                self.expressions.setdefault(formula.layer, []).append((kind, self._simplified(expression)))

    def _same_channels(self) -> str:
        """The name of a parameter that equals the channels of the first input in all instances; empty if none does."""
        channels = tuple(dict(given.hints).get(given.channels) for given in self._given)
        fitting = (name for name in self.vectors if "channels" in (self.kinds[name] or {"channels"}))
        return next((name for name in fitting if self.vectors[name] == channels), "")

    def _derive(self, name: str, default: Expression | None) -> None:
        """Compute a hint by its default expression, if all instances have that value; merge it with an equal name."""
        source_name, source = self.source_names[name], self._resolve(default)
        if source is None or not names_of(source) or source_name in names_of(source):
            return
        if self.vector(source) != self.vectors[source_name]:
            self.loose.add(source_name)
            return
        source = self._simplified(source)
        if isinstance(source, Name):
            self.source_names[name] = source.path
            del self.vectors[source_name]
        else:
            self.sources[source_name] = source

    def _simplified(self, expression: Expression) -> Expression:
        """An expression over one name as that name or a multiple, if equal: `width` for `width * 64 // 64`."""
        names = {*names_of(expression)}
        if len(names) != 1 or isinstance(expression, Name) or all(map(_is_plain, children_of(expression))):
            return expression
        (name,) = names
        vector = self.vector(expression)
        return (
            Name(name)
            if agree(vector, self.vectors[name])
            else multiple_of(vector, Name(name), self.vectors[name]) or expression
        )

    @property
    def sizes(self) -> tuple[str, ...]:
        """The names of heights and widths that may be read off inputs, in pairs."""
        names = tuple(self.source_names.get(name, "") for name in self._given[0].sizes)
        return tuple(name if name in self.vectors else "" for name in names)

    @property
    def square(self) -> Iterator[tuple[str, str]]:
        """The names of the height and the width of each input that is a square map in all instances."""
        for height, width in zip(self.sizes[::2], self.sizes[1::2], strict=True):
            if height and width and self.vectors[height] == self.vectors[width]:
                yield height, width

    def named(self, expression: Expression) -> Expression:
        """The name that has an expression as its default in all instances; else the expression."""
        return next((Name(name) for name, source in self.sources.items() if source == expression), expression)

    def is_loose(self, expression: Expression) -> bool:
        """Whether an expression depends on a loose name, so that callers of the class would have to compute it."""
        return any(
            name in self.loose or (name in self.sources and self.is_loose(self.sources[name]))
            for name in names_of(expression)
        )

    def vector(self, expression: Expression) -> Vector:
        """The values of an expression over known names, in all instances."""
        names = names_of(expression)
        rows = [{name: self.vectors[name][index] for name in names} for index in range(len(self._given))]
        return tuple(value_in(expression, row) for row in rows)

    def _resolve(self, expression: Expression | None) -> Expression | None:
        """A formula with constants and names of `vectors` in place of the spec's names; None if it needs others."""
        if expression is None:
            return None
        values = [value_in(expression, given.names) for given in self._given]
        if values[0] is not UNKNOWN and all(is_same(value, values[0]) for value in values):
            plain = isinstance(values[0], bool | int | float | str)
            return Literal(values[0]) if plain else None
        if isinstance(expression, Name | Attribute | Subscript):
            return self._resolve_name(expression, tuple(values))
        if isinstance(expression, Conditional) and isinstance(test := self._resolve(expression.test), Literal):
            return self._resolve(expression.value if test.value else expression.otherwise)  # the same in all instances
        children = [self._resolve(child) for child in children_of(expression)]
        resolved = [child for child in children if child is not None]
        if not resolved or len(resolved) < len(children):
            return None
        if isinstance(expression, Binary) and expression.operator in LOGIC:
            # An operand that is constant over all instances does not decide, for the result varies: leave it out.
            resolved = [child for child in resolved if not isinstance(child, Literal)]
            if len(resolved) < len(children):
                return resolved[0] if resolved else None
        return with_children(expression, resolved)

    def _resolve_name(self, expression: Name | Attribute | Subscript, values: Vector) -> Expression | None:
        """The known name with these values: the name itself, or one of the channels of inputs."""
        source_name = self.source_names.get(expression.path, "") if isinstance(expression, Name) else ""
        axis = expression.name if isinstance(expression, Attribute) else ""  # `height` of `skip.height`
        sizes = sorted(self._given[0].sizes, key=lambda name: not axis or not name.endswith(axis))
        others = (self.source_names.get(name, "") for name in (*self._given[0].others, *sizes))
        candidates = (name for name in (source_name, self.input_channels, *others) if name)
        return next((Name(name) for name in candidates if self.vectors.get(name) == values), None)


def _varying(given: Sequence[Given], kinds: Mapping[Formula, Kinds]) -> dict[str, Vector]:
    """The hints that differ between instances; channels of an input only if no other hint equals them."""
    rows = [dict(each.hints) for each in given]
    channel_hints = given[0].channel_hints
    varying: dict[str, Vector] = {}
    for name in rows[0]:
        if not all(name in row for row in rows):
            continue
        vector = tuple(row[name] for row in rows)
        if all(is_same(value, vector[0]) for value in vector):
            continue
        known = [
            v for k, v in varying.items() if "channels" in (_kinds_of_hint(k, kinds, channel_hints) or {"channels"})
        ]
        if name not in channel_hints or vector not in known:
            varying[name] = vector
    return varying


def _kinds_of_hint(name: str, kinds: Mapping[Formula, Kinds], channel_hints: Collection[str] = ()) -> Kinds:
    """The kinds of the attributes that a hint is used for, alone or else in expressions; by its name if unused."""
    if name in channel_hints:
        return kinds_of("channels")
    numbers = {formula: kind for formula, kind in kinds.items() if formula.attribute != "when"}
    direct = [kind for formula, kind in numbers.items() if formula.code == name]
    items = [each_of(kind) for formula, kind in numbers.items() if list_read(formula.code) == name]
    used = (
        direct or items or [kind for formula, kind in numbers.items() if name in names_of(read_formula(formula.code))]
    )
    if used:
        return frozenset().union(*used)
    return kinds_of(name) if is_known(name) else ANY


def names_of(expression: Expression | None) -> list[str]:
    """The names that an expression reads; none if it is None."""
    return [] if expression is None else list(names_in(expression))


def _is_plain(expression: Expression) -> bool:
    return isinstance(expression, Name | Literal)


def is_same(value: object, other: object) -> bool:
    """Whether two values are equal and of the same type: True is not 1."""
    if isinstance(value, tuple) and isinstance(other, tuple):
        return len(value) == len(other) and all(map(is_same, value, other))
    return type(value) is type(other) and value == other


def agree(values: Vector, vector: Vector) -> bool:
    """Whether the values equal those of a vector, types included, in all instances that have one."""
    return all(a is ABSENT or is_same(a, b) for a, b in zip(values, vector, strict=True))


def multiple_of(values: Vector, expression: Expression, vector: Vector) -> Expression | None:
    """The values as a multiple or a fraction of an expression, which has the values of `vector`: `width * 4`."""
    pairs = [(a, b) for a, b in zip(values, vector, strict=True) if a is not ABSENT]
    if not pairs or not all(type(a) is int and type(b) is int and a > 0 and b > 0 for a, b in pairs):
        return None
    up, down = pairs[0][0] // pairs[0][1], pairs[0][1] // pairs[0][0]
    if up > 1 and all(a == up * b for a, b in pairs):
        return Binary("*", expression, Literal(up))
    if down > 1 and all(b == down * a for a, b in pairs):
        return Binary("//", expression, Literal(down))
    return None
