"""Arithmetic with constants as a person writes it, in any framework whose tensors have operators."""

from __future__ import annotations

from netspec.lowering.source import Binary, Expression, Literal, Negative
from netspec.ops import Rescale


def rescaled(x: Expression, op: Rescale) -> Expression:
    """`scale * x + offset` without what does nothing.

    >>> from netspec.lowering.render import render_expression
    >>> from netspec.lowering.source import name
    >>> render_expression(rescaled(name("x"), Rescale(scale=0.1))), render_expression(
    ...     rescaled(name("x"), Rescale(scale=-1, offset=1))
    ... )
    ('x * 0.1', '1 - x')
    """
    if op.scale == -1:
        return Binary("-", _number(op.offset), x) if op.offset else Negative(x)
    scaled = x if op.scale == 1 and op.offset else Binary("*", x, _number(op.scale))
    if op.offset < 0:
        return Binary("-", scaled, _number(-op.offset))
    return Binary("+", scaled, _number(op.offset)) if op.offset else scaled


def _number(value: float) -> Literal:
    """Whole numbers without a point, as in `1 - x`."""
    return Literal(int(value) if value.is_integer() and abs(value) < 1e6 else value)
