"""Chart axes: linear and logarithmic scales from values to coordinates, with ticks at round values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

WIDE = 20.0  # the ratio of largest to smallest value above which a scale is logarithmic
DEEPEST = 1e6  # the largest such ratio that is drawn: a learning rate may decay to almost nothing
Unit = Literal["count", "number", "percent"]


@dataclass(frozen=True, slots=True)
class Axis:
    """A scale that maps the values from `low` to `high` to coordinates from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False
    unit: Unit = "number"

    def place(self, value: float) -> float:
        """The coordinate of a value. On a logarithmic scale, values below `low` are placed at it."""
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        at = math.log(max(value, self.low)) if self.log else value
        return self.start + (at - low) / (high - low) * (self.end - self.start)

    def ticks(self, most: int) -> list[float]:
        """Round values in the range: about, but not more than, `most`."""
        return _log_ticks(self.low, self.high, most) if self.log else _ticks(self.low, self.high, most, self.unit)

    def text(self, value: float) -> str:
        """The label of a tick."""
        if self.unit == "percent":
            return f"{100 * value:.6g} %"
        return short_number(value)


def axis_of(
    values: NDArray[np.float64], start: float, end: float, unit: Unit, *, log: bool | None = None, zero: bool = False
) -> Axis:
    """An axis that covers the finite ones of some values.

    Args:
        values: the values to be drawn.
        start: the coordinate of the low end.
        end: the coordinate of the high end.
        unit: the kind of values: a `count` has ticks at whole numbers; a `percent` is a share of 1.
        log: whether the scale is logarithmic; by default if the range is wide and, but for a few zeros, positive.
        zero: whether a linear scale begins at 0.
    """
    finite = values[np.isfinite(values)]
    positive = finite[finite > 0]
    if log is None:
        log = positive.size > 0.9 * finite.size and float(positive.max() / positive.min()) > WIDE
    if log and positive.size:
        high = float(positive.max())
        low = max(float(positive.min()), high / DEEPEST)
        return Axis(low / 1.12, high * 1.12, start, end, True, unit)
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    low = min(low, 0.0) if zero else low
    if high <= low:
        low, high = (low - 0.5 * abs(low), high + 0.5 * abs(high)) if low else (0.0, 1.0)
    ticks = _ticks(low, high, 5, unit)
    step = ticks[1] - ticks[0] if len(ticks) > 1 else high - low
    if unit == "count":
        return Axis(low, high, start, end, False, unit)
    return Axis(math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step, start, end, False, unit)


def short_number(value: float) -> str:
    """A number in few characters.

    >>> [short_number(v) for v in (0, 0.001, 1e-05, 2.5, 1500, 120000, 2e6)]
    ['0', '0.001', '1e-5', '2.5', '1500', '120k', '2M']
    """
    size = abs(value)
    if size and not 1e-3 <= size < 1e12:
        mantissa, _, exponent = f"{value:.3e}".partition("e")
        return f"{float(mantissa):g}e{int(exponent)}"
    for divisor, letter in ((1e6, "M"), (1e3, "k")):
        if size >= 10 * divisor or (letter == "M" and size >= divisor):
            return f"{value / divisor:.6g}{letter}"
    return f"{value:.6g}"


def _ticks(low: float, high: float, most: int, unit: Unit) -> list[float]:
    """The multiples, in the range, of 1, 2 or 5 times a power of ten."""
    raw = (high - low) / max(most, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10, 20) if factor * power >= raw * (1 - 1e-9))
    step = max(step, 1.0) if unit == "count" else step
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def _log_ticks(low: float, high: float, most: int) -> list[float]:
    """Powers of ten: multiplied by 1, 2 and 5 if there are few of them, and only every n-th if there are many."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for factors, every in (((1, 2, 5), 1), ((1, 3), 1), ((1,), 1), *(((1,), n) for n in range(2, 40))):
        values = [f * 10.0**exponent for exponent in range(first, last + 1) if exponent % every == 0 for f in factors]
        inside = [value for value in values if low * (1 - 1e-9) <= value <= high * (1 + 1e-9)]
        if len(inside) <= most:
            return inside
    return []
