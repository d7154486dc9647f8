"""The operators and functions of expressions, with their operand types and bounds."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Final, Union

from netspec.spec.text.document import describe_value
from netspec.spec.text.scalars import MAX_INTEGER

Scalar = str | int | float | bool
Value = Union[Scalar, tuple["Value", ...], dict[str, "Value"]]  # noqa: UP007 # `|` takes no forward reference
_MAX_BITS = 63
_MAX_DIGITS = 15
_MAX_EXACT = 2**14  # bits of the numerator or denominator of an exact power; a longer one is a float


class ExpressionError(Exception):
    """An expression has no value.

    Attributes:
        message: what is wrong.
        hint: what to do about it, or empty.
        undefined: the undefined name, if that is what is wrong.
    """

    def __init__(self, message: str, hint: str = "", undefined: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.undefined = undefined


class Exact(float):
    """An exact intermediate result: the float nearest to a fraction, with the fraction for the next operation.

    Numbers of a spec are decimals. Results are rounded once, at the end: 0.2 * 3 / 8 is 0.075 in every framework and
    in print, not 0.07500000000000001.
    """

    fraction: Fraction

    def __new__(cls, fraction: Fraction) -> Exact:
        """The float nearest to a fraction.

        Raises:
            ExpressionError: the fraction is beyond the largest float.
        """
        try:
            exact = super().__new__(cls, fraction)
        except OverflowError:
            raise ExpressionError("the value is not a finite number") from None
        exact.fraction = fraction
        return exact


def in_words(value: object) -> str:
    """A value of the language as messages describe it."""
    if isinstance(value, tuple | dict):
        return "a list" if isinstance(value, tuple) else "a mapping"
    return describe_value(value)


def bounded(value: object) -> int | float:
    """The value itself, if it is a finite number of 64 bits.

    Raises:
        ExpressionError: it is not.
    """
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ExpressionError("the value is not a finite number")
        return value
    if not isinstance(value, int):
        raise ExpressionError(f"a number was expected, the value is {value!r}")
    if abs(value) > MAX_INTEGER:
        raise ExpressionError("the value does not fit into a 64-bit integer")
    return value


def _number(value: object, use: str = "arithmetic is on") -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ExpressionError(f"{use} numbers, received {in_words(value)}")
    return bounded(value)


def _only_list(function: str, values: tuple[object, ...]) -> tuple[Value, ...]:
    """The list that is the only argument of a function."""
    if len(values) == 1 and isinstance(values[0], tuple):
        return values[0]
    received = ", ".join(map(in_words, values)) or "nothing"
    raise ExpressionError(f"`{function}` takes a list, received {received}")


def _length(*values: object) -> int:
    return len(_only_list("len", values))


def _arithmetic(operation: Callable[..., Any]) -> Callable[..., int | float]:
    return lambda *operands: bounded(operation(*map(_number, operands)))


def _exact(operation: Callable[..., Any]) -> Callable[..., int | float]:
    """An operation on exact decimals. Other than division, it keeps integers as integers."""

    def applied(*operands: Any) -> int | float:
        numbers = [*map(_number, operands)]
        if operation is not operator.truediv and all(isinstance(number, int) for number in numbers):
            return bounded(operation(*numbers))
        return Exact(Fraction(operation(*map(_fraction, numbers))))

    return applied


def _fraction(number: int | float) -> Fraction:
    """The exact value of a number as it is written in decimals: 1/10 for 0.1."""
    return number.fraction if isinstance(number, Exact) else Fraction(repr(number))


_add = _exact(operator.add)


def _sum(*values: object) -> int | float:
    total: int | float = 0
    for value in _only_list("sum", values):
        total = _add(total, value)
    return total


def _extreme(function: Callable[..., Any]) -> Callable[..., int | float]:
    """`max` or `min` of numbers, or of a list of them."""

    def applied(*values: Any) -> int | float:
        numbers = values[0] if len(values) == 1 and isinstance(values[0], tuple) else values
        if not numbers:
            raise ExpressionError(f"`{function.__name__}` of nothing")
        return bounded(function(map(_number, numbers)))

    return applied


def _ordering(operation: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    return lambda a, b: operation(_number(a, "`<` and `>` compare"), _number(b, "`<` and `>` compare"))


def _power(base: Any, exponent: Any) -> int | float:
    base, exponent = _number(base), _number(exponent)
    if isinstance(base, int) and isinstance(exponent, int) and exponent >= 0:
        if abs(base) > 1 and exponent * (abs(base).bit_length() - 1) > _MAX_BITS:
            raise ExpressionError(f"{base} ** {exponent} does not fit into a 64-bit integer")
        return int(base**exponent)
    exact, times = _fraction(base), _fraction(exponent)
    if times.denominator == 1:
        digits = max(exact.numerator.bit_length(), exact.denominator.bit_length())
        if abs(times) * digits <= _MAX_EXACT:
            return Exact(exact**times.numerator)
    elif base < 0:
        raise ExpressionError(f"{base} ** {exponent} is not a real number")
    return bounded(float(base) ** exponent)


def _round(value: int | float, digits: int = 0) -> int | float:
    if not isinstance(digits, int) or abs(digits) > _MAX_DIGITS:
        raise ExpressionError(f"round takes at most {_MAX_DIGITS} digits, received {digits}")
    return round(value, digits) if digits else round(value)


FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "abs": _arithmetic(abs),
    "int": _arithmetic(int),
    "len": _length,
    "max": _extreme(max),
    "min": _extreme(min),
    "round": _arithmetic(_round),
    "sum": _sum,
}
OPERATORS: Final[dict[type[ast.AST], Callable[..., Any]]] = {
    ast.Add: _exact(operator.add),
    ast.Sub: _exact(operator.sub),
    ast.Mult: _exact(operator.mul),
    ast.Div: _exact(operator.truediv),
    ast.FloorDiv: _exact(operator.floordiv),
    ast.Mod: _exact(operator.mod),
    ast.Pow: _power,
    ast.USub: _exact(operator.neg),
    ast.UAdd: _exact(operator.pos),
    ast.Not: operator.not_,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: _ordering(operator.lt),
    ast.LtE: _ordering(operator.le),
    ast.Gt: _ordering(operator.gt),
    ast.GtE: _ordering(operator.ge),
}
