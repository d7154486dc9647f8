"""Python source as expressions and statements, which `render` turns into text once, at the end.

Lowerings build values of these classes; no lowering writes text. Literals are limited to what a spec can hold, names
are checked to be names, and so nothing in a spec can become code.
"""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

FEWEST_REPEATED: Final = 3  # of what is made alike, and written once
_DOTTED: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)

LiteralValue = None | bool | int | float | str | tuple["LiteralValue", ...]


@dataclass(frozen=True, slots=True)
class Name:
    """A name, or a dotted path of names: `nn.Linear`."""

    path: str

    def __post_init__(self) -> None:
        if not _DOTTED.fullmatch(self.path) or any(keyword.iskeyword(p) for p in self.path.split(".")):
            raise ValueError(f"not a name: {self.path!r}")


@dataclass(frozen=True, slots=True)
class Literal:
    """None, a bool, an int, a finite float, a str, or a tuple of them."""

    value: LiteralValue

    def __post_init__(self) -> None:
        _check_literal(self.value)


@dataclass(frozen=True, slots=True)
class Call:
    """`function(*args, **kwargs)`."""

    function: Expression
    args: tuple[Expression, ...] = ()
    kwargs: tuple[tuple[str, Expression], ...] = ()

    def __post_init__(self) -> None:
        for argument, _ in self.kwargs:
            Name(argument)


@dataclass(frozen=True, slots=True)
class Attribute:
    """`value.name`."""

    value: Expression
    name: str

    def __post_init__(self) -> None:
        Name(self.name)


@dataclass(frozen=True, slots=True)
class Range:
    """`start:stop:step` inside a subscript; what is None is left out."""

    start: Expression | None = None
    stop: Expression | None = None
    step: Expression | None = None

    @property
    def bounds(self) -> tuple[Expression, ...]:
        """What it says, in order."""
        return tuple(bound for bound in (self.start, self.stop, self.step) if bound is not None)


@dataclass(frozen=True, slots=True)
class Subscript:
    """`value[item, item]`, each item an index or a range."""

    value: Expression
    items: tuple[int | str | Range, ...]


@dataclass(frozen=True, slots=True)
class Negative:
    """`-value`."""

    value: Expression


@dataclass(frozen=True, slots=True)
class Binary:
    """`left + right`; an operand that is another operation stands in parentheses, but in a chain of `+`, `*` or `/`."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class ListOf:
    """`[a, b]`; of one `Repeated` alone, `[value for _ in range(count)]`."""

    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class TupleOf:
    """`(a, b)`."""

    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Conditional:
    """`value if test else otherwise`."""

    value: Expression
    test: Expression
    otherwise: Expression


@dataclass(frozen=True, slots=True)
class Repeated:
    """`*(value for _ in range(count - start))`: as many arguments, each made anew; one or two are written out.

    The value of an assignment is computed so often, in a loop from `start` to `count`, and numbered in its name.
    """

    value: Expression
    count: Expression
    start: int = 0

    @property
    def number(self) -> Expression:
        """How often."""
        if isinstance(self.count, Literal) and isinstance(self.count.value, int):
            return Literal(self.count.value - self.start)
        if isinstance(self.count, Binary) and self.count.operator == "+" and self.count.right == Literal(self.start):
            return self.count.left
        return Binary("-", self.count, Literal(self.start)) if self.start else self.count

    @property
    def is_written_out(self) -> bool:
        """Whether it is so few that they stand behind one another."""
        return isinstance(self.number, Literal) and self.number.value in range(FEWEST_REPEATED)


@dataclass(frozen=True, slots=True)
class Formatted:
    """`f"{name}-conv-{i}"`: a text with variables in it."""

    parts: tuple[str | Name, ...]

    def __post_init__(self) -> None:
        for part in self.parts:
            if isinstance(part, str) and not re.fullmatch(r"[\w.-]*", part, re.ASCII):
                raise ValueError(f"not a part of a name: {part!r}")


Expression = (
    Name
    | Literal
    | Call
    | Attribute
    | Negative
    | Binary
    | ListOf
    | TupleOf
    | Subscript
    | Conditional
    | Repeated
    | Formatted
)


def call(function: Expression | str, *args: Expression | LiteralValue, **kwargs: Expression | LiteralValue) -> Call:
    """A call; Python values become literals, a str in the place of the function is its dotted name.

    >>> call("nn.Linear", 3).args
    (Literal(value=3),)
    """
    return Call(
        Name(function) if isinstance(function, str) else function,
        tuple(_operand(a) for a in args),
        tuple((k, _operand(v)) for k, v in kwargs.items()),
    )


def method(
    value: Expression, attribute: str, *args: Expression | LiteralValue, **kwargs: Expression | LiteralValue
) -> Call:
    """`value.attribute(*args, **kwargs)`."""
    return call(Attribute(value, attribute), *args, **kwargs)


def bounds(start: int, stop: int, step: int, size: int) -> Range:
    """`start:stop:step` along an axis of this size, what says nothing left out."""
    return range_of(start or None, None if stop >= size else stop, None if step == 1 else step)


def range_of(start: int | None, stop: int | None, step: int | None = None) -> Range:
    """`start:stop:step` of numbers, or None for what is left out."""
    return Range(*(None if bound is None else Literal(bound) for bound in (start, stop, step)))


def part(value: Expression, ranges: Mapping[int, Range]) -> Expression:
    """`value[:, start:stop]`, with a range for each of some axes.

    >>> part(Name("x"), {1: bounds(0, 2, 1, 5)}).items[1]
    Range(start=None, stop=Literal(value=2), step=None)
    """
    cut = {axis: range_ for axis, range_ in ranges.items() if range_ != Range()}
    return Subscript(value, tuple(cut.get(axis, Range()) for axis in range(max(cut) + 1))) if cut else value


def _operand(value: Expression | LiteralValue) -> Expression:
    return Literal(value) if value is None or isinstance(value, bool | int | float | str | tuple) else value


def _check_literal(value: object) -> None:
    if isinstance(value, tuple):
        for item in value:
            _check_literal(item)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"not a finite number: {value}")
    elif value is not None and type(value) not in {bool, int, float, str}:
        raise ValueError(f"not a literal: {value!r}")


@dataclass(frozen=True, slots=True)
class Assign:
    """`target = value  # comment`; the target is a dotted name."""

    target: str
    value: Expression
    comment: str = ""

    def __post_init__(self) -> None:
        Name(self.target)


@dataclass(frozen=True, slots=True)
class Unpack:
    """`first, second = value`."""

    targets: tuple[str, ...]
    value: Expression

    def __post_init__(self) -> None:
        for target in self.targets:
            Name(target)


@dataclass(frozen=True, slots=True)
class Return:
    """`return value`."""

    value: Expression


@dataclass(frozen=True, slots=True)
class Do:
    """An expression for its effect."""

    value: Expression


@dataclass(frozen=True, slots=True)
class For:
    """`for variable in iterable:` and the statements of its body."""

    variable: str
    iterable: Expression
    body: tuple[Statement, ...]

    def __post_init__(self) -> None:
        Name(self.variable)


@dataclass(frozen=True, slots=True)
class If:
    """`if test:` and what is done then."""

    test: Expression
    body: tuple[Statement | For, ...]


@dataclass(frozen=True, slots=True)
class Function:
    """A function. `parameters` and `returns` stand as in source: `x: Tensor`; `returns` may be types beside `|`."""

    name: str
    parameters: tuple[str, ...]
    body: tuple[Statement | For | If, ...]
    returns: str = ""
    docstring: str = ""

    def __post_init__(self) -> None:
        for identifier in (self.name, *(parameter.partition(":")[0] for parameter in self.parameters)):
            Name(identifier)


@dataclass(frozen=True, slots=True)
class Class:
    """A class with methods."""

    name: str
    base: str
    docstring: str
    body: tuple[Function, ...]

    def __post_init__(self) -> None:
        Name(self.name)


@dataclass(frozen=True, slots=True)
class Verbatim:
    """Source of a backend's own support code, written by hand and copied whole."""

    text: str


Statement = Assign | Unpack | Return | Do
Definition = Function | Class | Verbatim


@dataclass(frozen=True, slots=True)
class Module:
    """A file: docstring, groups of import lines, definitions."""

    docstring: str
    imports: tuple[tuple[str, ...], ...]
    body: tuple[Definition, ...]
