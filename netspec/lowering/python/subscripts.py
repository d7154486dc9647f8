"""Ranges of axes, and subscripts that take them."""

from __future__ import annotations

from collections.abc import Mapping

from netspec.lowering.python.source import Expression, Literal, Range, Subscript


def bounds(start: int, stop: int, step: int, size: int) -> Range:
    """Create the range `start:stop:step` along an axis of this size, without the parts that are the defaults."""
    return range_of(start or None, None if stop >= size else stop, None if step == 1 else step)


def range_of(start: int | None, stop: int | None, step: int | None = None) -> Range:
    """Create the range `start:stop:step` from ints; parts that are None are left out."""
    return Range(*(None if bound is None else Literal(bound) for bound in (start, stop, step)))


def part(value: Expression, ranges: Mapping[int, Range]) -> Expression:
    """Create a subscript such as `value[:, start:stop]` from a range for each of some axes.

    >>> from netspec.lowering.python.source import Name
    >>> part(Name("x"), {1: bounds(0, 2, 1, 5)}).items[1]
    Range(start=None, stop=Literal(value=2), step=None)
    """
    partial = {axis: range_ for axis, range_ in ranges.items() if range_ != Range()}
    items = tuple(partial.get(axis, Range()) for axis in range(max(partial, default=-1) + 1))
    return Subscript(value, items) if items else value
