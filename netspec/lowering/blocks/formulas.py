"""Expressions of the spec language, translated to emitted source and evaluated for an instance of a block."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache, reduce
from typing import Any, Final

from netspec.graph import Formula
from netspec.lowering.python.source import (
    Attribute,
    Binary,
    Conditional,
    Expression,
    Extreme,
    Literal,
    LiteralValue,
    Name,
    Negative,
    Not,
    Subscript,
)

UNKNOWN: Final = object()  # the value of an expression that cannot be evaluated
MOST: Final = 2**53  # operands beyond it give UNKNOWN: the spec may never have evaluated, and bounded, this expression
COMPARISONS: Final[Mapping[type[ast.AST], str]] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}
ARITHMETIC: Final[Mapping[type[ast.AST], str]] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.FloorDiv: "//",
    ast.Mod: "%",
}
_COMPUTE: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "//": operator.floordiv,
    "%": operator.mod,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "max": max,
    "min": min,
}


@lru_cache(maxsize=1024)
def read_formula(code: str) -> Expression | None:
    """Translate an expression of a block to source; None if it uses anything that source does not support.

    >>> read_formula("kernel_size // 2")
    Binary(operator='//', left=Name(path='kernel_size'), right=Literal(value=2))
    """
    try:
        return _translate(ast.parse(code, mode="eval").body)
    except (SyntaxError, ValueError, RecursionError):
        return None


def list_read(code: str) -> str:
    """The name of a list of which an expression is the item for an element of a stack; empty if it is something else.

    >>> list_read("rates[index]"), list_read("rates[0]")
    ('rates', '')
    """
    name = code.removesuffix("[index]")
    return name if name != code and name.isidentifier() else ""


def lists_in(formulas: Iterable[Formula], names: Mapping[str, object]) -> Iterator[tuple[str, LiteralValue]]:
    """The lists of which the elements of stacks are given items, by name."""
    for name in dict.fromkeys(list_read(formula.code) for formula in formulas):
        if isinstance(names.get(name), tuple) and (value := _as_literal(names[name])) is not None:
            yield name, value


def _as_literal(value: object) -> LiteralValue:
    """A number, a text, or a tuple of literals; None for anything else."""
    if isinstance(value, tuple):
        items = tuple(map(_as_literal, value))
        return None if None in items else items
    return value if isinstance(value, bool | int | float | str) else None


def _translate(node: ast.expr) -> Expression | None:
    match node:
        case ast.Constant(value=bool() | int() | float() | str() as constant):
            return Literal(constant)
        case ast.Name(id=name):
            return Name(name)
        case ast.Attribute(value=inner, attr=attribute) if value := _translate(inner):
            return Attribute(value, attribute)
        case ast.Subscript(value=inner, slice=ast.Constant(value=int() as index)) if value := _translate(inner):
            return Subscript(value, (index,))
        case ast.UnaryOp(op=ast.USub(), operand=inner) if value := _translate(inner):
            return Negative(value)
        case ast.UnaryOp(op=ast.Not(), operand=inner) if value := _translate(inner):
            return Not(value)
        case ast.BinOp(left=inner, op=ast.Pow(), right=ast.Constant(value=2)) if not _has_power(inner):
            value = _translate(inner)
            return _binary("*", value, value)  # in TorchScript, int ** int is a float
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in ARITHMETIC:
            return _binary(ARITHMETIC[type(sign)], _translate(left), _translate(right))
        case ast.Compare(left=left, ops=[sign], comparators=[right]) if type(sign) in COMPARISONS:
            return _binary(COMPARISONS[type(sign)], _translate(left), _translate(right))
        case ast.BoolOp(op=sign, values=values):
            word = "and" if isinstance(sign, ast.And) else "or"
            parts = [_translate(value) for value in values]
            return reduce(lambda left, right: _binary(word, left, right), parts[1:], parts[0])
        case ast.Call(func=ast.Name(id="max" | "min" as function), args=[_, _, *_] as args, keywords=[]):
            parts = [_translate(each) for each in args]
            return reduce(lambda left, right: _extreme(function, left, right), parts[1:], parts[0])
        case ast.IfExp(body=body, test=test, orelse=orelse):
            parts = [_translate(part) for part in (body, test, orelse)]
            return Conditional(*parts) if None not in parts else None  # type: ignore[arg-type] # no part is None
    return None


def _has_power(node: ast.expr) -> bool:
    """Whether an expression has a power in it, so that its square, written as a product, might have no end."""
    return any(isinstance(each, ast.Pow) for each in ast.walk(node))


def _binary(sign: str, left: Expression | None, right: Expression | None) -> Expression | None:
    return None if left is None or right is None else Binary(sign, left, right)


def _extreme(function: str, left: Expression | None, right: Expression | None) -> Expression | None:
    return None if left is None or right is None else Extreme(function, left, right)


def value_in(expression: Expression, names: Mapping[str, object]) -> Any:
    """Evaluate an expression of `read_formula`, given the values of names; UNKNOWN if it cannot be evaluated."""
    match expression:
        case Literal(value):
            return value
        case Name(path):
            return names.get(path, UNKNOWN)
        case Attribute(inner, attribute):
            value = value_in(inner, names)
            return value.get(attribute, UNKNOWN) if isinstance(value, dict) else UNKNOWN
        case Subscript(inner, (int() as index,)):
            value = value_in(inner, names)
            return value[index] if isinstance(value, tuple) and -len(value) <= index < len(value) else UNKNOWN
        case Negative(inner):
            value = value_in(inner, names)
            return -value if type(value) is int else UNKNOWN
        case Not(inner):
            value = value_in(inner, names)
            return not value if isinstance(value, bool) else UNKNOWN
        case Conditional(value, test, otherwise):
            holds = value_in(test, names)
            return value_in(value if holds else otherwise, names) if isinstance(holds, bool) else UNKNOWN
        case Binary("and" | "or" as sign, left, right):
            holds, other = value_in(left, names), value_in(right, names)
            if not isinstance(holds, bool):
                return UNKNOWN
            decided = holds if sign == "or" else not holds
            return holds if decided else other if isinstance(other, bool) else UNKNOWN
        case Binary(sign, left, right) | Extreme(sign, left, right):
            return _compute(sign, value_in(left, names), value_in(right, names))
    return UNKNOWN


def _compute(sign: str, left: Any, right: Any) -> Any:
    """Apply an operator: arithmetic to ints, comparisons to numbers, `==` and `!=` also to bools and strings."""
    types = {type(left), type(right)}
    if types == {int}:
        if max(abs(left), abs(right)) > MOST or (sign in ("//", "%") and right == 0):
            return UNKNOWN
        return _COMPUTE[sign](left, right)
    numbers = types <= {int, float} and sign in COMPARISONS.values()
    equality = types in ({bool}, {str}) and sign in ("==", "!=")
    return _COMPUTE[sign](left, right) if numbers or equality else UNKNOWN
