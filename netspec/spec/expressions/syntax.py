"""The syntax of the inside of `${…}`: parsed, and checked against a list of allowed kinds before it is evaluated."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Mapping, Set
from enum import Enum
from functools import lru_cache

from netspec.spec.expressions.hints import SIZES, defined_here, no_size, other_language
from netspec.spec.expressions.operators import FUNCTIONS, ExpressionError, Value
from netspec.spec.text.document import quote
from netspec.spec.text.hints import did_you_mean


class Unknown(Enum):
    """Stands in for a value that is not known until a block is used, or that was reported as wrong."""

    UNKNOWN = "unknown"


UNKNOWN = Unknown.UNKNOWN
Names = Mapping[str, Value | Unknown]
MAX_LENGTH = 300  # characters of an expression

_ALLOWED = (
    *(ast.Expr, ast.Name, ast.Load, ast.Constant, ast.Call),
    *(ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow),
    *(ast.UnaryOp, ast.USub, ast.UAdd, ast.Not, ast.BoolOp, ast.And, ast.Or, ast.IfExp),
    *(ast.Compare, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE),
    *(ast.Subscript, ast.Slice, ast.Attribute),
)
_LANGUAGE = "an expression has numbers, parameters, + - * / // % **, comparisons, and, or, not, `a if c else b`"


class UnknownValueError(Exception):
    """A valid expression needs the value of a name that is `UNKNOWN`. This is not a problem to report."""


def read_names(tree: ast.AST) -> set[str]:
    """The names in a syntax tree, without those of called functions: a layer may have the name of one."""
    nodes = tuple(ast.walk(tree))
    called = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
    return {node.id for node in nodes if isinstance(node, ast.Name) and id(node) not in called}


@lru_cache(256)  # an instance of a block evaluates the expressions of every other
def parse(code: str) -> ast.Expr:
    """The syntax tree of an expression.

    Raises:
        ExpressionError: it is not an expression, or too long.
    """
    if not code:
        raise ExpressionError("the expression is empty", "name a parameter: ${classes}")
    if len(code) > MAX_LENGTH:
        raise ExpressionError(f"the expression is longer than {MAX_LENGTH} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python's own advice, as on `1if x else 2`
            body = ast.parse(code).body
    except SyntaxError:
        raise ExpressionError(f"{quote(code)} is not an expression", other_language(code) or _LANGUAGE) from None
    except (ValueError, RecursionError, MemoryError):
        raise ExpressionError(f"{quote(code)} is not an expression that can be read", _LANGUAGE) from None
    if len(body) != 1 or not isinstance(body[0], ast.Expr):
        raise ExpressionError(f"{quote(code)} is a statement, not an expression", other_language(code) or _LANGUAGE)
    return body[0]


@lru_cache(256)  # for the same reason: the walk over a tree takes longer than its evaluation
def used_names(code: str) -> Set[str] | None:
    """The names that an expression uses; None if there is something wrong with it, whatever is defined."""
    tree = parse(code)
    names = read_names(tree)
    try:
        return check_syntax(tree, dict.fromkeys(names, UNKNOWN))
    except ExpressionError:
        return None


def check_syntax(tree: ast.Expr, parameters: Names) -> set[str]:
    """The parameters that an expression uses.

    Raises:
        ExpressionError: a part of the expression is not in the language, or a name is not defined.
        UnknownValueError: a size is named, and the shape that arrives is not known.
    """
    nodes = tuple(ast.walk(tree))
    called = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
    compared = {id(part) for node in nodes if isinstance(node, ast.Compare) for part in node.comparators}
    indexed = {id(node.value) for node in nodes if isinstance(node, ast.Subscript)}
    for node in nodes:
        match node:
            case ast.Call(func=ast.Name(id=name), keywords=[]) if name in FUNCTIONS:
                pass
            case ast.Call(func=ast.Name(id=name), keywords=[]):
                hint = did_you_mean(name, FUNCTIONS) or f"there are {', '.join(sorted(FUNCTIONS))}"
                raise ExpressionError(f"{quote(name)} is not a function of the language", hint)
            case ast.Name(id=name) if name in SIZES and name not in parameters and "shape" in parameters:
                shape = parameters["shape"]
                if not isinstance(shape, tuple):
                    raise UnknownValueError
                raise ExpressionError(*no_size(name, shape), name)
            case ast.Name(id=name) if id(node) not in called and name not in parameters:
                message = f"the parameter {quote(name)} is not defined"
                text = f"a text has quotes: `'{name}'`" if id(node) in compared else ""
                raise ExpressionError(message, defined_here(name, parameters, text), name)
            case ast.Constant(value=value) if not isinstance(value, bool | int | float | str):
                raise ExpressionError(f"{quote(str(value))} is not a value of the language", _LANGUAGE)
            case ast.Attribute(attr=attr) if attr.startswith("_"):
                raise ExpressionError(f"{quote(ast.unparse(node))} looks inside a value", _LANGUAGE)
            case ast.Call(func=function) if not isinstance(function, ast.Name):
                raise ExpressionError(f"{quote(ast.unparse(node))} calls something that is not a function", _LANGUAGE)
            case ast.List() | ast.Tuple():
                message = f"{quote(ast.unparse(node))} is a list, which an expression cannot make"
                hint = "write an expression for each of its items: `[${a}, ${b}]`"
                if id(node) in indexed:
                    hint = "make it a parameter, `parameters: {widths: […]}`, and take `${widths[…]}`"
                raise ExpressionError(message, hint)
            case _ if not isinstance(node, _ALLOWED):
                raise ExpressionError(f"{quote(ast.unparse(tree))} is not allowed in an expression", _LANGUAGE)
    return read_names(tree)
