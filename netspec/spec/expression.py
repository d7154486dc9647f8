"""`${…}`: arithmetic, comparison and choice over a spec's parameters. Never code.

The grammar is checked on the syntax tree, node by node against a list, before anything is evaluated; then
simpleeval evaluates it with the operators below, each of which refuses what it cannot bound.
"""

from __future__ import annotations

import ast
import math
import operator
import re
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from simpleeval import SimpleEval

from netspec.spec.document import describe_value, quote
from netspec.spec.hints import did_you_mean
from netspec.spec.scalars import MAX_INTEGER

Value = str | int | float | bool
MAX_LENGTH = 300
_MAX_BITS = 63
_MAX_DIGITS = 15

_HOLE = re.compile(r"\$\{([^{}]*)\}")
FUNCTIONS = frozenset({"abs", "int", "max", "min", "round"})
_SYNTAX = (
    *(ast.Expr, ast.Name, ast.Load, ast.Constant, ast.Call),
    *(ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow),
    *(ast.UnaryOp, ast.USub, ast.UAdd, ast.Not, ast.BoolOp, ast.And, ast.Or, ast.IfExp),
    *(ast.Compare, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE),
)
_LANGUAGE = "an expression has numbers, parameters, + - * / // % **, comparisons, and, or, not, `a if c else b`"


class ExpressionError(Exception):
    """An expression that has no value: what is wrong, a hint, and the parameter that is not defined if that is it."""

    def __init__(self, message: str, hint: str = "", undefined: str = "") -> None:
        super().__init__(message)
        self.undefined = undefined
        self.message = message
        self.hint = hint


def has_expression(text: str) -> bool:
    """Whether a string holds `${`."""
    return "${" in text


def evaluate_text(text: str, parameters: Mapping[str, Value]) -> Value:
    """The value of a string with `${…}` in it.

    A string that is one expression keeps the type of its value; inside a longer string values are
    written out.

    >>> evaluate_text("${classes // 2}", {"classes": 10}), evaluate_text("net-${classes}", {"classes": 10})
    (5, 'net-10')

    Raises:
        ExpressionError: an expression is malformed, uses what is not defined, or is out of range.
    """
    if whole := _HOLE.fullmatch(text):
        return _evaluate(whole[1], parameters)
    if "${" in _HOLE.sub("", text):
        raise ExpressionError(f"`${{` without its `}}` in {quote(text)}", "braces do not nest: ${a * 2}")
    return _HOLE.sub(lambda hole: _written(_evaluate(hole[1], parameters)), text)


def _written(value: Value) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


def _evaluate(code: str, parameters: Mapping[str, Value]) -> Value:
    tree = _parse(code.strip())
    _check_syntax(tree, parameters)
    evaluator = SimpleEval(operators=_OPERATORS, functions=_FUNCTIONS, names=dict(parameters))
    try:
        value = evaluator.eval(code, previously_parsed=tree)
    except ExpressionError:
        raise
    except RecursionError:
        raise ExpressionError("the expression is nested too deeply") from None
    except ZeroDivisionError:
        raise ExpressionError(f"{quote(code)} divides by zero") from None
    except (TypeError, ValueError, OverflowError) as error:
        raise ExpressionError(f"{quote(code)} cannot be computed: {error}") from None
    if isinstance(value, bool | str):
        return value
    return _bounded(value)


def _parse(code: str) -> ast.Expr:
    if not code:
        raise ExpressionError("the expression is empty", "name a parameter: ${classes}")
    if len(code) > MAX_LENGTH:
        raise ExpressionError(f"the expression is longer than {MAX_LENGTH} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # `1if x else 2`: Python's advice to Python's writers
            body = ast.parse(code).body
    except SyntaxError:
        raise ExpressionError(f"{quote(code)} is not an expression", _LANGUAGE) from None
    except (ValueError, RecursionError, MemoryError):
        raise ExpressionError(f"{quote(code)} is not an expression that can be read", _LANGUAGE) from None
    if len(body) != 1 or not isinstance(body[0], ast.Expr):
        raise ExpressionError(f"{quote(code)} is a statement, not an expression", _LANGUAGE)
    return body[0]


def _check_syntax(tree: ast.Expr, parameters: Mapping[str, Value]) -> None:
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name), keywords=[]) if name in FUNCTIONS:
                pass
            case ast.Call(func=ast.Name(id=name), keywords=[]):
                hint = did_you_mean(name, FUNCTIONS) or f"there are {', '.join(sorted(FUNCTIONS))}"
                raise ExpressionError(f"{quote(name)} is not a function of the language", hint)
            case ast.Name(id=name) if id(node) not in called and name not in parameters:
                message = f"the parameter {quote(name)} is not defined"
                raise ExpressionError(message, _defined(name, parameters), name)
            case ast.Constant(value=value) if not isinstance(value, bool | int | float | str):
                raise ExpressionError(f"{quote(str(value))} is not a value of the language", _LANGUAGE)
            case ast.Attribute() | ast.Subscript():
                raise ExpressionError(f"{quote(ast.unparse(node))} looks inside a value", _LANGUAGE)
            case _ if not isinstance(node, _SYNTAX):
                raise ExpressionError(f"{quote(ast.unparse(tree))} is more than an expression may say", _LANGUAGE)


def _defined(name: str, parameters: Mapping[str, Value]) -> str:
    known = f"defined here: {', '.join(parameters)}" if parameters else "`parameters: {…}` defines them"
    return did_you_mean(name, parameters) or known


def _bounded(value: Any) -> int | float:
    """A number that a 64-bit integer or float holds, or an ExpressionError."""
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ExpressionError("the value is not a finite number")
        return value
    if not isinstance(value, int):
        raise ExpressionError(f"a number was expected, the value is {value!r}")
    if abs(value) > MAX_INTEGER:
        raise ExpressionError("the value does not fit into a 64-bit integer")
    return value


def _number(value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ExpressionError(f"arithmetic is on numbers, received {describe_value(value)}")
    return _bounded(value)


def _arithmetic(operation: Callable[..., Any]) -> Callable[..., int | float]:
    return lambda *operands: _bounded(operation(*map(_number, operands)))


def _power(base: int | float, exponent: int | float) -> int | float:
    if isinstance(base, int) and isinstance(exponent, int) and exponent >= 0:
        if abs(base) > 1 and exponent * (abs(base).bit_length() - 1) > _MAX_BITS:
            raise ExpressionError(f"{base} ** {exponent} does not fit into a 64-bit integer")
        return int(base**exponent)
    if base < 0 and not float(exponent).is_integer():
        raise ExpressionError(f"{base} ** {exponent} is not a real number")
    return float(base) ** exponent


def _round(value: int | float, digits: int = 0) -> int | float:
    if not isinstance(digits, int) or abs(digits) > _MAX_DIGITS:
        raise ExpressionError(f"round takes at most {_MAX_DIGITS} digits, received {digits}")
    return round(value, digits) if digits else round(value)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": _arithmetic(abs),
    "int": _arithmetic(int),
    "max": _arithmetic(max),
    "min": _arithmetic(min),
    "round": _arithmetic(_round),
}
_OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: _arithmetic(operator.add),
    ast.Sub: _arithmetic(operator.sub),
    ast.Mult: _arithmetic(operator.mul),
    ast.Div: _arithmetic(operator.truediv),
    ast.FloorDiv: _arithmetic(operator.floordiv),
    ast.Mod: _arithmetic(operator.mod),
    ast.Pow: _arithmetic(_power),
    ast.USub: _arithmetic(operator.neg),
    ast.UAdd: _arithmetic(operator.pos),
    ast.Not: operator.not_,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
