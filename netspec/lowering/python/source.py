"""The syntax tree of emitted Python source: expressions. `statements` are made of them, and `render` writes text.

Lowerings build these nodes; no lowering writes text. Names are checked to be identifiers, and literals are limited to
the values that a spec can hold, so nothing in a spec can become code.
"""

from __future__ import annotations

import keyword
import math
import re
from dataclasses import dataclass
from typing import Final

LOGIC: Final = ("and", "or")  # the operators of a `Binary` whose operands are conditions
FEWEST_REPEATED: Final = 3  # how many equal arguments are written as a generator expression
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
    """A slice `start:stop:step` in a subscript; parts that are None are left out."""

    start: Expression | None = None
    stop: Expression | None = None
    step: Expression | None = None

    @property
    def bounds(self) -> tuple[Expression, ...]:
        """The parts that are not None, in order."""
        return tuple(bound for bound in (self.start, self.stop, self.step) if bound is not None)


@dataclass(frozen=True, slots=True)
class Subscript:
    """`value[item, item]`; an item is an index, a key or a range. An index that may become a name is an expression."""

    value: Expression
    items: tuple[int | str | Range | Expression, ...]

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """The expressions in the items, in order: bounds of ranges, and indices that are expressions."""
        found: list[Expression] = []
        for item in self.items:
            if isinstance(item, Range):
                found += item.bounds
            elif not isinstance(item, int | str):
                found.append(item)
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Negative:
    """`-value`."""

    value: Expression


@dataclass(frozen=True, slots=True)
class Not:
    """`not value`."""

    value: Expression


@dataclass(frozen=True, slots=True)
class Binary:
    """`left + right`; operands that are operations get parentheses, except the left ones of a chain of one operator."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Extreme:
    """`max(left, right)` or `min(left, right)`: of two numbers, as TorchScript takes them."""

    function: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class ListOf:
    """`[a, b]`; of a single `Repeated`, `[value for _ in range(count)]`."""

    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class TupleOf:
    """`(a, b)`."""

    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Conditional:
    """`value if test else otherwise`.

    It is `decided` if the test holds wherever this is evaluated, so that `otherwise` may be any.
    """

    value: Expression
    test: Expression
    otherwise: Expression
    decided: bool = False


@dataclass(frozen=True, slots=True)
class Repeated:
    """The elements of a row of `count`, without `start` at its beginning and `end` at its end, which are equal.

    As an argument, `*(value for _ in range(count - start - end))`; one or two repetitions are written out. As the value
    of an assignment it becomes a loop from `start` to `count - end`. If there is an `index`, the value reads it.
    """

    value: Expression
    count: Expression
    start: int = 0
    end: int = 0
    index: str = ""

    @property
    def number(self) -> Expression:
        """The number of repetitions, simplified where possible."""
        return less(self.count, self.start + self.end)

    @property
    def stop(self) -> Expression:
        """The position after the last repetition, simplified where possible."""
        return less(self.count, self.end)

    @property
    def is_written_out(self) -> bool:
        """Whether there are so few repetitions that they are written one after the other."""
        return not self.index and isinstance(self.number, Literal) and self.number.value in range(FEWEST_REPEATED)


@dataclass(frozen=True, slots=True)
class Each:
    """A value for each item of a tuple, or for the items of several of equal length, which it reads by these names.

    As an argument, `*(value for rate in rates)`; as the value of an assignment it becomes a loop. If there is an
    `index`, the value reads that too.
    """

    value: Expression
    names: tuple[str, ...]
    tuples: tuple[Expression, ...]
    index: str = ""

    @property
    def target(self) -> Expression:
        """What a loop assigns: `rate`, or `i, (rate, width)`."""
        items = tuple(map(Name, self.names))
        item = items[0] if len(items) == 1 else TupleOf(items)
        return TupleOf((Name(self.index), item)) if self.index else item

    @property
    def iterable(self) -> Expression:
        """What a loop goes through: `rates`, or `enumerate(zip(rates, widths, strict=True))`."""
        items = self.tuples[0] if len(self.tuples) == 1 else call("zip", *self.tuples, strict=True)
        return call("enumerate", items) if self.index else items


@dataclass(frozen=True, slots=True)
class Formatted:
    """An f-string of plain text, names and numbers: `f"{name}-conv-{count - 1}"`."""

    parts: tuple[str | Name | Binary, ...]

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
    | Not
    | Binary
    | Extreme
    | ListOf
    | TupleOf
    | Subscript
    | Conditional
    | Repeated
    | Each
    | Formatted
)


def call(function: Expression | str, /, *args: Expression | LiteralValue, **kwargs: Expression | LiteralValue) -> Call:
    """Create a call. Arguments that are Python values become literals; a str as the function is a dotted name.

    >>> call("nn.Linear", 3).args
    (Literal(value=3),)
    """
    return Call(
        Name(function) if isinstance(function, str) else function,
        tuple(_operand(a) for a in args),
        tuple((k, _operand(v)) for k, v in kwargs.items()),
    )


def conditional(value: Expression, test: Expression, otherwise: Expression) -> Conditional:
    """Create `value if test else otherwise`, without a `not` where the branches can be exchanged.

    >>> exchanged = conditional(Name("a"), Not(Name("b")), Name("c"))
    >>> exchanged.value, exchanged.test, exchanged.otherwise
    (Name(path='c'), Name(path='b'), Name(path='a'))
    """
    if isinstance(test, Not) and not isinstance(otherwise, Conditional):
        return Conditional(otherwise, test.value, value)
    return Conditional(value, test, otherwise)


def less(count: Expression, by: int) -> Expression:
    """The expression `count - by`, simplified where possible.

    >>> less(Literal(5), 2), less(Binary("+", Name("n"), Literal(1)), 1), less(Name("n"), 0)
    (Literal(value=3), Name(path='n'), Name(path='n'))
    """
    if isinstance(count, Literal) and isinstance(count.value, int):
        return Literal(count.value - by)
    if isinstance(count, Binary) and count.operator == "+" and count.right == Literal(by):
        return count.left
    return Binary("-", count, Literal(by)) if by else count


def method(
    value: Expression, attribute: str, /, *args: Expression | LiteralValue, **kwargs: Expression | LiteralValue
) -> Call:
    """Create a method call, `value.attribute(*args, **kwargs)`."""
    return call(Attribute(value, attribute), *args, **kwargs)


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
