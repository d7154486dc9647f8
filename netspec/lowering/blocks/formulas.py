"""What a block says by an expression, as an expression of source, and the value of that in an instance."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from functools import lru_cache, reduce
from typing import Any, Final

from netspec.lowering.python.source import (
    Attribute,
    Binary,
    Conditional,
    Expression,
    Literal,
    Name,
    Negative,
    Subscript,
)

UNKNOWN: Final = object()  # in place of a value that an instance does not have
MOST: Final = 2**53  # of what is computed again here: the spec may never have computed what it says of a layer left out
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
}
_COMPUTE: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "//": operator.floordiv,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@lru_cache(maxsize=1024)
def read_formula(code: str) -> Expression | None:
    """The expression over the names that the block sees; None where it is more than a number, or whole ones.

    >>> read_formula("kernel_size // 2")
    Binary(operator='//', left=Name(path='kernel_size'), right=Literal(value=2))
    """
    try:
        return _translate(ast.parse(code, mode="eval").body)
    except (SyntaxError, ValueError, RecursionError):
        return None


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
        case ast.BinOp(left=ast.Name(id=name), op=ast.Pow(), right=ast.Constant(value=2)):
            return Binary("*", Name(name), Name(name))  # a power of whole numbers is none to TorchScript
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in ARITHMETIC:
            return _binary(ARITHMETIC[type(sign)], _translate(left), _translate(right))
        case ast.Compare(left=left, ops=[sign], comparators=[right]) if type(sign) in COMPARISONS:
            return _binary(COMPARISONS[type(sign)], _translate(left), _translate(right))
        case ast.BoolOp(op=sign, values=values):
            word = "and" if isinstance(sign, ast.And) else "or"
            parts = [_translate(value) for value in values]
            return reduce(lambda left, right: _binary(word, left, right), parts[1:], parts[0])
        case ast.IfExp(body=body, test=test, orelse=orelse):
            parts = [_translate(part) for part in (body, test, orelse)]
            return Conditional(*parts) if None not in parts else None  # type: ignore[arg-type] # none of them is
    return None


def _binary(sign: str, left: Expression | None, right: Expression | None) -> Expression | None:
    return None if left is None or right is None else Binary(sign, left, right)


def value_in(expression: Expression, seen: Mapping[str, object]) -> Any:
    """The value of an expression of `read_formula`, given those of the names; UNKNOWN where there is none."""
    match expression:
        case Literal(value):
            return value
        case Name(path):
            return seen.get(path, UNKNOWN)
        case Attribute(inner, attribute):
            value = value_in(inner, seen)
            return value.get(attribute, UNKNOWN) if isinstance(value, dict) else UNKNOWN
        case Subscript(inner, (int() as index,)):
            value = value_in(inner, seen)
            return value[index] if isinstance(value, tuple) and -len(value) <= index < len(value) else UNKNOWN
        case Negative(inner):
            value = value_in(inner, seen)
            return -value if type(value) is int else UNKNOWN
        case Conditional(value, test, otherwise):
            holds = value_in(test, seen)
            return value_in(value if holds else otherwise, seen) if isinstance(holds, bool) else UNKNOWN
        case Binary("and" | "or" as sign, left, right):
            holds, other = value_in(left, seen), value_in(right, seen)
            if not isinstance(holds, bool):
                return UNKNOWN
            decided = holds if sign == "or" else not holds
            return holds if decided else other if isinstance(other, bool) else UNKNOWN
        case Binary(sign, left, right):
            return _compute(sign, value_in(left, seen), value_in(right, seen))
    return UNKNOWN


def _compute(sign: str, left: Any, right: Any) -> Any:
    if (
        sign in COMPARISONS.values()
        and float in (type(left), type(right))
        and {type(left), type(right)} <= {int, float}
    ):
        return _COMPUTE[sign](left, right)
    if type(left) is not int or type(right) is not int or max(abs(left), abs(right)) > MOST:
        same = sign in ("==", "!=") and type(left) is type(right) and type(left) in (bool, str, float)
        return _COMPUTE[sign](left, right) if same else UNKNOWN
    if sign == "//" and right == 0:
        return UNKNOWN
    return _COMPUTE[sign](left, right)
