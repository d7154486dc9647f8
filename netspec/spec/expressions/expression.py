"""Evaluates `${…}`: arithmetic, comparison and choice over a spec's parameters and their items. Never code.

Before evaluation, each node of the syntax tree is checked against a list of allowed kinds. simpleeval then evaluates
the tree with the operators of `operators.py`, which refuse operands whose result could not be bounded.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence, Set
from enum import Enum
from functools import lru_cache
from typing import Any

from simpleeval import SimpleEval

from netspec.spec.expressions.hints import SIZES, defined_here, hidden_by_a_parameter, no_size, other_language
from netspec.spec.expressions.operators import FUNCTIONS, OPERATORS, ExpressionError, Scalar, Value, bounded, in_words
from netspec.spec.text.document import quote
from netspec.spec.text.hints import did_you_mean
from netspec.spec.text.scalars import scalar_text

__all__ = [
    "FUNCTIONS",
    "UNKNOWN",
    "ExpressionError",
    "Names",
    "Unknown",
    "UnknownValueError",
    "Value",
    "comparisons_in",
    "evaluate_text",
    "expression_in",
    "has_expression",
    "names_in",
]


class Unknown(Enum):
    """Stands in for a value that is not known until a block is used, or that was reported as wrong."""

    UNKNOWN = "unknown"


UNKNOWN = Unknown.UNKNOWN
Names = Mapping[str, Value | Unknown]
MAX_LENGTH = 300  # characters of an expression
MAX_TEXT = 10_000  # characters of a text with expressions in it, which may be texts with expressions themselves

_EXPRESSION = re.compile(r"\$\{([^{}]*)\}")
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


def has_expression(text: str) -> bool:
    """Whether a string holds `${`."""
    return "${" in text


def expression_in(text: str) -> str:
    """The expression that makes up a whole string, without `${` and `}`; empty for any other string."""
    whole = _EXPRESSION.fullmatch(text)
    return whole[1].strip() if whole else ""


def expression_beside_text(text: str) -> str:
    """The only expression in a string that holds other text besides; empty for any other string."""
    codes = _EXPRESSION.findall(text)
    return str(codes[0]).strip() if len(codes) == 1 and not expression_in(text) else ""


def names_in(text: str) -> set[str]:
    """The names that the expressions in a string use. Expressions that cannot be parsed are skipped.

    >>> sorted(names_in("${a.channels if kind == 'a' else max(b, 1)} and ${c}"))
    ['a', 'b', 'c', 'kind']
    """
    names: set[str] = set()
    for code in map(str.strip, _EXPRESSION.findall(text)):
        if code.isidentifier():
            names.add(code)
            continue
        try:
            names |= _read_names(tuple(ast.walk(_parse(code))))
        except ExpressionError:
            continue  # it is reported where it is evaluated
    return names


def _read_names(nodes: Sequence[ast.AST]) -> set[str]:
    """The names in a syntax tree, without those of called functions: a layer may have the name of one."""
    called = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
    return {node.id for node in nodes if isinstance(node, ast.Name) and id(node) not in called}


def comparisons_in(text: str) -> Iterator[tuple[str, Scalar]]:
    """The comparisons by `==` or `!=` in a string's expressions, as pairs of a name and a constant.

    >>> list(comparisons_in("${2 if kind == 'a' and 'b' != form else 1}"))
    [('kind', 'a'), ('form', 'b')]
    """
    for code in _EXPRESSION.findall(text):
        try:
            tree = _parse(code.strip())
        except ExpressionError:
            continue
        for node in ast.walk(tree):
            match node:
                case ast.Compare(left=left, ops=[ast.Eq() | ast.NotEq()], comparators=[right]):
                    for name, constant in ((left, right), (right, left)):
                        value = constant.value if isinstance(constant, ast.Constant) else None
                        if isinstance(name, ast.Name) and isinstance(value, str | int | float):
                            yield name.id, value


def evaluate_text(text: str, parameters: Names) -> Value:
    """The value of a string with `${…}` in it.

    A string that is a single expression has the value of that expression, of any type. In a longer string, each
    expression is replaced by the text of its value.

    >>> evaluate_text("${classes // 2}", {"classes": 10}), evaluate_text("net-${classes}", {"classes": 10})
    (5, 'net-10')
    >>> evaluate_text("${blocks[1]}", {"blocks": (3, 4)}), evaluate_text("${skip.channels}", {"skip": {"channels": 8}})
    (4, 8)
    >>> evaluate_text("${sum(blocks[:2])}", {"blocks": (3, 4, 6)})
    7

    Raises:
        ExpressionError: an expression is malformed, uses an undefined name, or is out of range.
        UnknownValueError: an expression uses a name whose value is `UNKNOWN`.
    """
    if whole := _EXPRESSION.fullmatch(text):
        return _evaluate(whole[1], parameters)
    if "${" in _EXPRESSION.sub("", text):
        nested = "{" in text.rpartition("${")[2] or text.count("${") > 1
        hint = "braces do not nest: ${a * 2}" if nested else "for example `${a * 2}`"
        raise ExpressionError(f"`${{` without its `}}` in {quote(text)}", hint)
    result = _EXPRESSION.sub(lambda match: _inserted(_evaluate(match[1], parameters)), text)
    if len(result) > MAX_TEXT:
        message = f"the text with its expressions evaluated has {len(result):,} characters"
        raise ExpressionError(message, f"at most {MAX_TEXT:,} are taken")
    return result


def _inserted(value: Value) -> str:
    """The text of a value inside a longer string."""
    if isinstance(value, tuple | dict):
        raise ExpressionError(f"{in_words(value)} cannot stand inside a text", "an expression alone may be a list")
    return scalar_text(value)


def _evaluate(code: str, parameters: Names) -> Value:
    if (name := code.strip()) in parameters:  # most expressions are one name
        value = parameters[name]
        if isinstance(value, Unknown):
            raise UnknownValueError
        return value
    tree = _parse(name)
    used = _used_names(name)
    if used is None or not used <= parameters.keys():
        used = _check_syntax(tree, parameters)
    names = {name: parameters[name] for name in used}
    if UNKNOWN in names.values():
        raise UnknownValueError
    evaluator = _Evaluator(operators=OPERATORS, functions=FUNCTIONS, names=names)
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
    if isinstance(value, bool | str | tuple | dict):
        return value
    number = bounded(value)
    return float(number) if isinstance(number, float) else number


class _Evaluator(SimpleEval):  # type: ignore[misc] # it ships no type information
    """simpleeval, restricted to items and parts of lists, and items of mappings by name; values have no attributes."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.nodes |= {ast.Subscript: self._subscript, ast.Attribute: self._attribute}

    def _subscript(self, node: ast.Subscript) -> Any:
        value = self._eval(node.value)
        if isinstance(node.slice, ast.Slice):
            return self._part(node, value, node.slice)
        index = self._eval(node.slice)
        if isinstance(value, dict):
            return self._named(node, value, index)
        if not isinstance(value, tuple):
            raise ExpressionError(
                f"{quote(ast.unparse(node))} looks inside {in_words(value)}: only a list has positions"
            )
        index = _position(index)
        if not -len(value) <= index < len(value):
            raise ExpressionError(
                f"{quote(ast.unparse(node))}: the list has {len(value)} values, and none at {index}",
                "positions count from 0, -1 is the last",
            )
        return value[index]

    def _part(self, node: ast.Subscript, value: Any, part: ast.Slice) -> Any:
        if not isinstance(value, tuple):
            raise ExpressionError(f"{quote(ast.unparse(node))} is a part of {in_words(value)}: only a list has parts")
        if part.step is not None:
            raise ExpressionError(f"{quote(ast.unparse(node))} has a step", "a part of a list is `list[start:stop]`")
        bounds = [None if bound is None else _position(self._eval(bound)) for bound in (part.lower, part.upper)]
        return value[slice(*bounds)]

    def _attribute(self, node: ast.Attribute) -> Any:
        value = self._eval(node.value)
        if not isinstance(value, dict):
            # A parameter of the same name as an input or a layer hides the shape that was meant.
            hiding = node.value.id if isinstance(node.value, ast.Name) and node.attr in (*SIZES, "shape") else ""
            raise ExpressionError(
                f"{quote(ast.unparse(node))} looks inside {in_words(value)}: only a mapping has names",
                hidden_by_a_parameter(hiding) if hiding else "",
            )
        return self._named(node, value, node.attr)

    def _named(self, node: ast.expr, value: dict[str, Any], name: Any) -> Any:
        if name not in value:
            hint = did_you_mean(str(name), value) or f"it has {', '.join(value) or 'none'}"
            raise ExpressionError(f"{quote(ast.unparse(node))}: the mapping has no {quote(str(name))}", hint)
        return value[name]


def _position(index: Any) -> int:
    if isinstance(index, bool) or not isinstance(index, int):
        raise ExpressionError(f"a position in a list is a whole number, received {in_words(index)}")
    return index


@lru_cache(256)  # an instance of a block evaluates the expressions of every other
def _parse(code: str) -> ast.Expr:
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
def _used_names(code: str) -> Set[str] | None:
    """The names that an expression uses; None if there is something wrong with it, whatever is defined."""
    tree = _parse(code)
    names = _read_names(tuple(ast.walk(tree)))
    try:
        return _check_syntax(tree, dict.fromkeys(names, UNKNOWN))
    except ExpressionError:
        return None


def _check_syntax(tree: ast.Expr, parameters: Names) -> set[str]:
    """The parameters that an expression uses.

    Raises:
        ExpressionError: a part of the expression is not in the language, or a name is not defined.
        UnknownValueError: a size is named, and the shape that arrives is not known.
    """
    nodes = tuple(ast.walk(tree))
    called = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
    compared = {id(part) for node in nodes if isinstance(node, ast.Compare) for part in node.comparators}
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
                raise ExpressionError(message, "write an expression for each of its items: `[${a}, ${b}]`")
            case _ if not isinstance(node, _ALLOWED):
                raise ExpressionError(f"{quote(ast.unparse(tree))} is not allowed in an expression", _LANGUAGE)
    return _read_names(nodes)
