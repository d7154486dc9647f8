"""Tests of the spec's expressions that may tell which of several alternatives an instance has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from netspec.lowering.blocks.kinds import Kinds
from netspec.lowering.blocks.known import Vector
from netspec.lowering.python.source import Binary, Conditional, Expression, Literal, Name

_SELECTING: Final = ("op", "block", "mode", "groups")  # attributes that select a layer, sooner than others do


def conditions_over(
    expressions: Sequence[tuple[Kinds, Expression]], vector: Callable[[Expression], Vector], channels: str
) -> Iterator[Expression]:
    """Conditions over the expressions of a member, the likelier ones first.

    They are an expression's own condition, a switch itself, comparisons of texts, and of numbers of groups. Sizes do
    not select a layer; where they seem to, it is by chance.

    Args:
        expressions: the member's expressions, with the kinds of the attributes.
        vector: returns the values of an expression in all instances.
        channels: the name of the channels of the block's input; empty if there is none.

    >>> from netspec.lowering.blocks.kinds import kinds_of
    >>> from netspec.lowering.python.expressions import render_expression
    >>> values = {"filters": (6, 8), "groups": (1, 8), "pool": ("max_pool2d", "avg_pool2d")}
    >>> stated = [(kinds_of(name), Name(name)) for name in values]
    >>> [render_expression(test) for test in conditions_over(stated, lambda name: values[name.path], "")]
    ['groups > 1', 'groups == 1', 'groups == 8', 'pool == "max_pool2d"', 'pool == "avg_pool2d"']
    """

    def rank(item: tuple[Kinds, Expression]) -> int:
        return min((_SELECTING.index(kind) for kind in item[0] if kind in _SELECTING), default=len(_SELECTING))

    for kinds, expression in sorted(expressions, key=rank):
        values = vector(expression)
        if isinstance(expression, Conditional):
            yield expression.test
        if all(isinstance(value, bool) for value in values):
            yield expression
        for value in dict.fromkeys(value for value in values if isinstance(value, str)):
            yield Binary("==", expression, Literal(value))
        if "groups" in kinds:
            yield Binary(">", expression, Literal(1))
            yield from (Binary("==", expression, other) for other in _counts(values, channels))


def _counts(values: Vector, channels: str) -> Iterator[Expression]:
    """What a number of groups may be compared with: 1, the channels that arrive, and its own values."""
    yield Literal(1)
    if channels:
        yield Name(channels)
    yield from map(Literal, sorted({value for value in values if type(value) is int} - {1}))
