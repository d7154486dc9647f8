"""Evaluates `${…}`: arithmetic, comparison and choice over a spec's parameters and their items. Never code.

Before evaluation, `syntax` checks each node of the syntax tree against a list of allowed kinds. The `evaluator` then
has the operators of `operators`, which refuse operands whose result could not be bounded.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from netspec.spec.expressions.evaluator import Evaluator
from netspec.spec.expressions.operators import FUNCTIONS, ExpressionError, Scalar, Value, bounded, in_words
from netspec.spec.expressions.syntax import (
    UNKNOWN,
    Names,
    Unknown,
    UnknownValueError,
    check_syntax,
    parse,
    read_names,
    used_names,
)
from netspec.spec.text.document import quote
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

MAX_TEXT = 10_000  # characters of a text with expressions in it, which may be texts with expressions themselves

_EXPRESSION = re.compile(r"\$\{([^{}]*)\}")


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
            names |= read_names(parse(code))
        except ExpressionError:
            continue  # it is reported where it is evaluated
    return names


def comparisons_in(text: str) -> Iterator[tuple[str, Scalar]]:
    """The comparisons by `==` or `!=` in a string's expressions, as pairs of a name and a constant.

    >>> list(comparisons_in("${2 if kind == 'a' and 'b' != form else 1}"))
    [('kind', 'a'), ('form', 'b')]
    """
    for code in _EXPRESSION.findall(text):
        try:
            tree = parse(code.strip())
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
    tree = parse(name)
    used = used_names(name)
    if used is None or not used <= parameters.keys():
        used = check_syntax(tree, parameters)
    names = {name: parameters[name] for name in used}
    if UNKNOWN in names.values():
        raise UnknownValueError
    evaluator = Evaluator(names)
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
