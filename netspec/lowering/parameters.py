"""The parameters of a class or function that several instances share, named after what names their values."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from netspec.lowering.source import Binary, Expression, Literal, LiteralValue, Name, TupleOf

ABSENT: Final = object()  # in place of a value of an instance that does not have it
Vector = tuple[Any, ...]
Hints = tuple[tuple[str, LiteralValue], ...]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a class or function; `default` is None for one that has to be given."""

    name: str
    values: Vector
    default: LiteralValue = None

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


class ParameterNaming:
    """The parameters that instances need, named after what names their values, if anything does."""

    def __init__(self, hints: Sequence[Hints], reserved: Collection[str]) -> None:
        self._reserved = reserved
        self._values: dict[str, Vector] = {}
        self._defaults: dict[str, list[LiteralValue]] = {}
        self._hints: dict[str, Vector] = {}
        for name, vector in _hints(hints).items():
            self._hints[self._free(name)] = vector

    def parameters(self) -> tuple[Parameter, ...]:
        """Those that have to be given first."""
        found = []
        for name, values in self._values.items():
            defaults = self._defaults[name]
            default = defaults[0] if all(d == defaults[0] for d in defaults) else None
            found.append(Parameter(name, values, default))
        return tuple(sorted(found, key=lambda p: (p.default is not None, isinstance(p.default, bool))))

    def flag(self, name: str, values: Vector) -> Expression:
        """A parameter that says whether something is there; the same for all that are there together."""
        for known, vector in self._values.items():
            if known.startswith("has_") and vector == values:
                return Name(known)
        return self._use(self._free(name), values, False)

    def parameter(self, values: Vector, owner: str, role: str, default: LiteralValue) -> Expression:
        """What gives these values: what is known, or a tuple of that, or a new parameter."""
        if found := self._find(values):
            return self._of(found, default)
        if elements := self._elements(values):
            return TupleOf(elements)
        known = {**self._hints, **self._values}
        some = next(value for value in values if value is not ABSENT)
        values = tuple(some if value is ABSENT else value for value in values)
        wanted = role if role != "size" and role not in known else f"{owner}_{role}"
        return self._use(self._free(wanted), values, default)

    def _find(self, values: Vector) -> tuple[str, int] | None:
        """The hint, or the parameter that is there, that has these values; or the hint of which they are a multiple."""
        for name, vector in {**self._hints, **self._values}.items():
            if _agree(values, vector):
                return name, 1
        for name, vector in self._hints.items():
            if factor := _factor(values, vector):
                return name, factor
        return None

    def _of(self, found: tuple[str, int], default: LiteralValue) -> Expression:
        name, factor = found
        vector = self._values.get(name, self._hints.get(name, ()))
        if factor == 1:
            return self._use(name, vector, default)
        return Binary("*", self._use(name, vector, None), Literal(factor))

    def _elements(self, values: Vector) -> tuple[Expression, ...]:
        """Tuples element by element, `(in_channels, 1, 1)`; nothing where one of them is not known."""
        present = [value for value in values if value is not ABSENT]
        if not all(isinstance(value, tuple) and len(value) == len(present[0]) for value in present):
            return ()
        columns = [tuple(v if v is ABSENT else v[index] for v in values) for index in range(len(present[0]))]
        elements: list[Literal | tuple[str, int]] = []
        for column in columns:
            own = {(type(value), value) for value in column if value is not ABSENT}
            if len(own) == 1:
                elements.append(Literal(present[0][len(elements)]))
            elif found := self._find(column):
                elements.append(found)
            else:
                return ()
        return tuple(self._of(each, None) if isinstance(each, tuple) else each for each in elements)

    def _use(self, name: str, values: Vector, default: LiteralValue) -> Name:
        self._values.setdefault(name, values)
        self._defaults.setdefault(name, []).append(default)
        return Name(name)

    def _free(self, wanted: str) -> str:
        while wanted in self._reserved or wanted in self._values or wanted in self._hints:
            wanted += "_"
        return wanted


def _hints(hints: Sequence[Hints]) -> dict[str, Vector]:
    """The names that all instances have for numbers, where those differ, and not as others do that have a name."""
    by_name = [dict(own) for own in hints]
    found: dict[str, Vector] = {}
    for name in by_name[0]:
        if not all(name in own for own in by_name):
            continue
        vector = tuple(own[name] for own in by_name)
        derived = any(_factor(vector, known) or _agree(vector, known) for known in found.values())
        if len(set(vector)) > 1 and not derived:
            found[name] = vector
    return found


def _agree(values: Vector, vector: Vector) -> bool:
    """Whether the values are those of a vector, types and all, wherever there is one."""
    pairs = zip(values, vector, strict=True)
    return all(a is ABSENT or (type(a) is type(b) and a == b) for a, b in pairs)


def _factor(values: Vector, vector: Vector) -> int:
    """The whole number, greater than 1, by which the values are a multiple of a vector; else 0."""
    pairs = [(a, b) for a, b in zip(values, vector, strict=True) if a is not ABSENT]
    if not pairs or not all(type(a) is int and type(b) is int and b > 0 for a, b in pairs):
        return 0
    factor = int(pairs[0][0] // pairs[0][1])
    return factor if factor > 1 and all(a == factor * b for a, b in pairs) else 0
