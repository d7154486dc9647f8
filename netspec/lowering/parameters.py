"""The parameters of a class or function that several instances share, named after what gives their values.

A number is named after what the spec says of its layer, if that gives it in every instance; else after something of the
same kind that is equal, or of which it is a multiple: channels after channels, a stride after a stride.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from netspec.graph import Formula
from netspec.lowering.formulas import UNKNOWN, read_formula, value_in
from netspec.lowering.kinds import ANY, SIZE, is_known, kinds_of, may_name
from netspec.lowering.rewrite import children_of, names_in, with_children
from netspec.lowering.source import Attribute, Binary, Expression, Literal, LiteralValue, Name, Subscript, TupleOf

ABSENT: Final = object()  # in place of a value of an instance that does not have it
Vector = tuple[Any, ...]
Hints = tuple[tuple[str, LiteralValue], ...]
Kinds = frozenset[str]


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
        kinds = {_annotation(value) for value in self.values}
        if kinds == {"int", "float"}:
            return "float"
        return " | ".join(sorted(kinds))


def _annotation(value: object) -> str:
    if isinstance(value, tuple):
        return f"tuple[{', '.join(_annotation(item) for item in value)}]"
    return "None" if value is None else type(value).__name__


@dataclass(frozen=True, slots=True)
class Given:
    """What an instance was given.

    Attributes:
        hints: numbers by name, first those that are to be preferred.
        formulas: what its block says by expressions.
        seen: the values of the names in those.
        channels: the hint that says how many channels arrive, if any does.
    """

    hints: Hints = ()
    formulas: tuple[Formula, ...] = ()
    seen: Mapping[str, object] = field(default_factory=dict)
    channels: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a number stands.

    Attributes:
        member: in what is emitted for which member of the block.
        owner: what it is called if nothing else has a name for it: after this,
        role: and after the argument that it is; `size` of one without a name.
        kinds: of the argument.
        default: of the argument, where it has one.
    """

    member: str
    owner: str
    role: str = "size"
    kinds: Kinds = SIZE
    default: LiteralValue = None


KindsWithin = Callable[[str, str], Kinds]


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
        self._given = given
        self._reserved = reserved
        self._values: dict[str, Vector] = {}
        self._defaults: dict[str, list[LiteralValue]] = {}
        self._flags: set[str] = set()
        self._computed: dict[str, Expression] = {}
        self._hints: dict[str, Vector] = {}
        self._kinds: dict[str, Kinds] = {}
        self._called: dict[str, str] = {}  # by what the spec calls it
        self._sources: dict[str, Expression] = {}
        self._said: dict[str, list[tuple[Kinds, Expression]]] = {}
        formulas = given[0].formulas
        kinds = {formula: kinds_within(formula.layer, formula.attribute) for formula in formulas if formula.layer}
        for name, vector in _varying(given, kinds).items():
            own = self._called[name] = self._free(name)
            self._hints[own] = vector
            self._kinds[own] = _kinds_of_hint(name, kinds, given[0].channels)
        if arriving := self._same_channels():
            self._called.setdefault(given[0].channels, arriving)
        for formula in formulas:
            if not formula.layer and formula.attribute in self._called:
                self._derive(formula.attribute, read_formula(formula.code))
        for formula, kind in kinds.items():
            if expression := self._resolve(read_formula(formula.code)):
                self._said.setdefault(formula.layer, []).append((kind, self._simple(expression)))

    def _same_channels(self) -> str:
        """What the channels that arrive are called if a parameter of the spec tells them as well; else empty."""
        arriving = tuple(dict(given.hints).get(given.channels) for given in self._given)
        fitting = (name for name, kinds in self._kinds.items() if "channels" in (kinds or {"channels"}))
        return next((name for name in fitting if self._hints[name] == arriving), "")

    def _derive(self, name: str, default: Expression | None) -> None:
        """Compute a hint from others, where the spec does so; what is then no more than another is called like that."""
        own, source = self._called[name], self._resolve(default)
        if source is None or not _names(source) or self._vector(source) != self._hints[own]:
            return
        source = self._simple(source)
        if isinstance(source, Name):
            self._called[name] = source.path
            del self._hints[own]
        else:
            self._sources[own] = source

    def _simple(self, expression: Expression) -> Expression:
        """The expression, or the same number said with less: `width` for `width * 64 // 64`."""
        names = {*_names(expression)}
        if len(names) != 1 or isinstance(expression, Name) or all(_is_plain(own) for own in children_of(expression)):
            return expression
        (name,) = names
        vector = self._vector(expression)
        return (
            Name(name)
            if _agree(vector, self._hints[name])
            else _multiple(vector, name, self._hints[name]) or expression
        )

    def parameters(self) -> tuple[Parameter, ...]:
        """Those that have to be given first."""
        found = []
        for name, values in self._values.items():
            defaults = self._defaults[name]
            default = defaults[0] if all(d == defaults[0] for d in defaults) else None
            if isinstance(default, bool) and name in self._flags:
                default = max((False, True), key=values.count)  # what most instances would say
            found.append(Parameter(name, values, default, self._kinds[name]))
        arriving = self._called.get(self._given[0].channels, "")
        return tuple(
            sorted(found, key=lambda p: (p.default is not None, isinstance(p.default, bool), p.name != arriving))
        )

    def computed(self) -> tuple[tuple[str, Expression], ...]:
        """What is computed from parameters before anything else, by name, each from those before."""
        return tuple(self._computed.items())

    def flag(self, member: str, values: Vector) -> Expression:
        """What says whether a member is there: the spec's condition, or a parameter, one for all that go together."""
        for kinds, expression in self._said.get(member, ()):
            changed = isinstance(expression, Name) and expression.path not in self._called
            if "when" in kinds and self._vector(expression) == values and not changed:
                self._flags |= {expression.path} if isinstance(expression, Name) else set()
                return self._commit(expression, False)
        known = next((name for name in self._flags if self._values[name] == values), "")
        name = known or self._free(f"has_{member}")
        self._flags.add(name)
        return self._use(name, values, False, kinds_of("when"))

    def parameter(self, values: Vector, place: Place) -> Expression:
        """What gives these values: what is known, or a tuple of that, or a new parameter."""
        if found := self._find(values, place):
            return self._commit(found, place.default)
        if found := self._elements(values, place):
            return self._commit(found, None)
        known = {**self._hints, **self._values}
        some = next(value for value in values if value is not ABSENT)
        values = tuple(some if value is ABSENT else value for value in values)
        wanted = place.role if place.role != "size" and place.role not in known else f"{place.owner}_{place.role}"
        return self._use(self._free(wanted), values, place.default, place.kinds)

    def said(self, values: Vector, place: Place) -> Expression | None:
        """What the spec says of a number that is the same wherever it is at all, if its names are used already."""
        found = self._find_said(values, place) or self._elements(values, place)
        names = _names(found)
        return found if names and all(name in self._values or name in self._computed for name in names) else None

    def _find(self, values: Vector, place: Place) -> Expression | None:
        """The expression that gives these values and has a reason to."""
        said = self._find_said(values, place)
        if isinstance(said, Name):
            return said
        known = {**self._hints, **self._values}
        fitting = [name for name in known if may_name(self._kinds[name], place.kinds)]
        if equal := next((name for name in fitting if _agree(values, known[name])), ""):
            return Name(equal)
        if said := said or self._find_elsewhere(values, place):
            return said
        scaled = (_multiple(values, name, known[name]) for name in fitting if self._scales(name, place))
        return next((found for found in scaled if found is not None), None)

    def _scales(self, name: str, place: Place) -> bool:
        """Whether a multiple of one number may stand for another: where both are channels."""
        named = self._kinds[name]
        return (
            name in self._hints and (named == ANY or "channels" in named) and bool(place.kinds & {"channels", "size"})
        )

    def _find_said(self, values: Vector, place: Place) -> Expression | None:
        """What the spec says of the member, by an attribute of the same kind, with these values."""
        for kinds, expression in self._said.get(place.member, ()):
            if may_name(kinds, place.kinds) and "when" not in kinds and _agree(values, self._vector(expression)):
                return expression
        return None

    def _find_elsewhere(self, values: Vector, place: Place) -> Expression | None:
        """What the spec says of another member: a layer has as many channels as the one before gives."""
        if "channels" in place.kinds:
            for kinds, expression in (said for member in self._said.values() for said in member):
                if "channels" in kinds and _names(expression) and _agree(values, self._vector(expression)):
                    return expression
        return None

    def _elements(self, values: Vector, place: Place) -> TupleOf | None:
        """Tuples element by element, `(in_channels, 1, 1)`; nothing where one of them is not known."""
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
        return TupleOf(tuple(elements)) if any(_names(element) for element in elements) else None

    def _element(self, column: Vector, place: Place) -> Expression | None:
        present = [value for value in column if value is not ABSENT]
        if all(_same(value, present[0]) for value in present):
            return (self.said(column, place) if len(present) < len(column) else None) or Literal(present[0])
        return self._find(column, place) or self._elements(column, place)

    def _vector(self, expression: Expression) -> Vector:
        """The values of an expression over what is known."""
        known = {**self._hints, **self._values}
        rows = [{name: known[name][index] for name in _names(expression)} for index in range(len(self._given))]
        return tuple(value_in(expression, row) for row in rows)

    def _resolve(self, expression: Expression | None) -> Expression | None:
        """What the spec says, over hints and numbers; None where it needs more than those."""
        if expression is None:
            return None
        values = [value_in(expression, given.seen) for given in self._given]
        if values[0] is not UNKNOWN and all(_same(value, values[0]) for value in values):
            plain = isinstance(values[0], bool | int | float)
            return Literal(values[0]) if plain else None
        if isinstance(expression, Name | Attribute | Subscript):
            return self._resolve_name(expression, tuple(values))
        inner = [self._resolve(child) for child in children_of(expression)]
        return with_children(expression, [child for child in inner if child]) if inner and all(inner) else None

    def _resolve_name(self, expression: Name | Attribute | Subscript, values: Vector) -> Expression | None:
        wanted = (expression.path if isinstance(expression, Name) else "", self._given[0].channels)
        own = (self._called.get(name, "") for name in wanted)
        return next((Name(name) for name in own if name and self._hints[name] == values), None)

    def _commit(self, expression: Expression, default: LiteralValue) -> Expression:
        """The expression, its names in use from now on."""
        for name in _names(expression):
            vector = self._values.get(name, self._hints.get(name, ()))
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
        source = self._sources.get(name)
        if source is None:
            return False
        self._commit(source, None)
        self._computed[name] = source
        return True

    def _free(self, wanted: str) -> str:
        while wanted in self._reserved or wanted in self._values or wanted in self._hints:
            wanted += "_"
        return wanted


def _varying(given: Sequence[Given], kinds: Mapping[Formula, Kinds]) -> dict[str, Vector]:
    """The names that all have for numbers, where those differ; of channels that arrive, if no other name tells them."""
    by_name = [dict(own.hints) for own in given]
    found: dict[str, Vector] = {}
    for name in by_name[0]:
        if not all(name in own for own in by_name):
            continue
        vector = tuple(own[name] for own in by_name)
        if all(_same(value, vector[0]) for value in vector):
            continue
        known = [own for key, own in found.items() if "channels" in (_kinds_of_hint(key, kinds) or {"channels"})]
        if name != given[0].channels or vector not in known:
            found[name] = vector
    return found


def _kinds_of_hint(name: str, kinds: Mapping[Formula, Kinds], channels: str = "") -> Kinds:
    """What the spec uses a parameter for: as it is, else in expressions; by its name where it uses it for nothing."""
    if name == channels:
        return kinds_of("channels")
    numbers = {formula: own for formula, own in kinds.items() if formula.attribute != "when"}
    whole = [own for formula, own in numbers.items() if formula.code == name]
    within = whole or [own for formula, own in numbers.items() if name in _names(read_formula(formula.code))]
    if within:
        return frozenset().union(*within)
    return kinds_of(name) if is_known(name) else ANY


def _names(expression: Expression | None) -> list[str]:
    return [] if expression is None else list(names_in(expression))


def _is_plain(expression: Expression) -> bool:
    return isinstance(expression, Name | Literal)


def _same(value: object, other: object) -> bool:
    """Whether two values are one, types and all: True is not 1."""
    if isinstance(value, tuple) and isinstance(other, tuple):
        return len(value) == len(other) and all(map(_same, value, other))
    return type(value) is type(other) and value == other


def _agree(values: Vector, vector: Vector) -> bool:
    """Whether the values are those of a vector, types and all, wherever there is one."""
    return all(a is ABSENT or _same(a, b) for a, b in zip(values, vector, strict=True))


def _multiple(values: Vector, name: str, vector: Vector) -> Expression | None:
    """The values as a multiple of a vector, or a whole part of it: `width * 4`, `width // 4`."""
    pairs = [(a, b) for a, b in zip(values, vector, strict=True) if a is not ABSENT]
    if not pairs or not all(type(a) is int and type(b) is int and a > 0 and b > 0 for a, b in pairs):
        return None
    up, down = pairs[0][0] // pairs[0][1], pairs[0][1] // pairs[0][0]
    if up > 1 and all(a == up * b for a, b in pairs):
        return Binary("*", Name(name), Literal(up))
    if down > 1 and all(b == down * a for a, b in pairs):
        return Binary("//", Name(name), Literal(down))
    return None
