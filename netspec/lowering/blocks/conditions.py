"""Tests of the spec's expressions that may tell which of several alternatives an instance has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from netspec.lowering.blocks.kinds import Kinds
from netspec.lowering.blocks.known import Vector
from netspec.lowering.python.source import Binary, Conditional, Expression, Literal, Name

_SELECTING: Final = ("op", "block", "mode", "groups")  # attributes that select a layer, sooner than a size does


def tests_of(
    expressions: Sequence[tuple[Kinds, Expression]], vector: Callable[[Expression], Vector], channels: str
) -> Iterator[Expression]:
    """Conditions over the expressions of a member, the likelier ones first.

    An expression's own condition, if it has one, or a switch itself; then comparisons of texts, and of numbers with 1
    and with the channels that arrive; last, comparisons with other numbers.

    Args:
        expressions: the member's expressions, with the kinds of the attributes.
        vector: returns the values of an expression in all instances.
        channels: the name of the channels of the block's input; empty if there is none.

    >>> from netspec.lowering.blocks.kinds import kinds_of
    >>> from netspec.lowering.python.expressions import render_expression
    >>> values = {"filters": (8, 8), "groups": (1, 8)}
    >>> stated = [(kinds_of(name), Name(name)) for name in values]
    >>> [render_expression(test) for test in tests_of(stated, lambda name: values[name.path], "")][:3]
    ['groups > 1', 'groups == 1', 'filters > 1']
    """

    def rank(item: tuple[Kinds, Expression]) -> int:
        return min((_SELECTING.index(kind) for kind in item[0] if kind in _SELECTING), default=len(_SELECTING))

    ordered = [expression for _, expression in sorted(expressions, key=rank)]
    for expression in ordered:
        yield from _own_tests(expression, vector(expression), channels)
    for expression in ordered:
        for value in dict.fromkeys(value for value in vector(expression) if type(value) is int):
            yield Binary("==", expression, Literal(value))


def _own_tests(expression: Expression, values: Vector, channels: str) -> Iterator[Expression]:
    if isinstance(expression, Conditional):
        yield expression.test
    if all(isinstance(value, bool) for value in values):
        yield expression
    elif all(type(value) is int for value in values):
        yield Binary(">", expression, Literal(1))
        yield Binary("==", expression, Literal(1))
        if channels:
            yield Binary("==", expression, Name(channels))
    for value in dict.fromkeys(value for value in values if isinstance(value, str)):
        yield Binary("==", expression, Literal(value))
