"""Maps of another size, by nearest elements or between two, with the rule for coordinates by name."""

import math
from fractions import Fraction
from typing import Literal, NamedTuple

from netspec.arrays import np
from netspec.errors import ShapeError
from netspec.ops.attributes import PositiveFloat, Size2d, both
from netspec.ops.base import Array, Op, Sample, Weights, Window, require_map
from netspec.types import TensorType

Coordinates = Literal["half_pixel", "asymmetric", "align_corners"]
RoundingOfPositions = Literal["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"]


class Between(NamedTuple):
    """Where one output position lies along an axis: `share` of the element `high`, the rest of `low`."""

    low: int
    high: int
    share: float


class Resize(Op, kind="resize"):
    """A map of another `size`, or of its size times `scale`, rounded down.

    Output position i of n reads position c of a length of L, beyond the ends the last element:
    `half_pixel`: c = (i + ½)·L/n − ½, elements as small squares (PyTorch's bilinear, TensorFlow, Keras).
    `asymmetric`: c = i·L/n (PyTorch's nearest).
    `align_corners`: c = i·(L − 1)/(n − 1), the first and last elements are on one another.
    `bilinear` is between the two elements around c, along each axis. `nearest` is the element that `rounding` makes of
    c; halves are where the `round_prefer_…` differ.

    Shapes:
        x (N, C, H, W) → (N, C, height, width).

    Source: the coordinate rules and roundings of ONNX Resize, under its names.
    """

    trap = "another coordinate rule: half pixels or none, aligned corners, halves rounded up or down"

    size: Size2d | None = None
    scale: PositiveFloat | None = None
    mode: Literal["nearest", "bilinear"]
    coordinates: Coordinates
    rounding: RoundingOfPositions = "floor"

    def resolve(self, x: TensorType) -> "Resize":
        _, height, width = require_map(self.kind, x)
        if (self.size is None) == (self.scale is None):
            raise ShapeError("resize takes a `size` or a `scale`", "one of the two", "scale" if self.size else "")
        if self.scale is None:
            return self
        factor = Fraction(repr(self.scale))  # as it is written: 0.29 of 100 is 29, not 28
        rows, columns = math.floor(height * factor), math.floor(width * factor)
        if not rows or not columns:
            raise ShapeError(f"resize: nothing is left of {x} at scale {self.scale:g}", attribute="scale")
        return self.model_copy(update={"size": Size2d(height=rows, width=columns), "scale": None})

    @property
    def target(self) -> Size2d:
        """The size; only a resolved op is sure to have it."""
        if self.size is None:
            raise ShapeError("resize: the size is not resolved yet", attribute="scale")
        return self.size

    def infer(self, x: TensorType) -> TensorType:
        channels, _, _ = require_map(self.kind, x)
        if self.mode == "bilinear" and self.rounding != "floor":
            raise ShapeError(
                f"resize: `rounding` belongs to mode nearest, received {self.rounding} with bilinear",
                attribute="rounding",
            )
        return x.with_features(channels, self.target.height, self.target.width)

    def positions(self, x: TensorType) -> tuple[list[Between], list[Between]]:
        """What each row of the output reads of the input's rows, and each column of its columns."""
        _, height, width = require_map(self.kind, x)
        return self._along(height, self.target.height), self._along(width, self.target.width)

    def _along(self, length: int, count: int) -> list[Between]:
        return [self._between(self._coordinate(i, length, count), length - 1) for i in range(count)]

    def _coordinate(self, i: int, length: int, count: int) -> Fraction:
        if self.coordinates == "half_pixel":
            return Fraction((2 * i + 1) * length, 2 * count) - Fraction(1, 2)
        if self.coordinates == "asymmetric":
            return Fraction(i * length, count)
        return Fraction(i * (length - 1), count - 1) if count > 1 else Fraction(0)

    def _between(self, c: Fraction, last: int) -> Between:
        if self.mode == "bilinear":
            inside = min(max(c, Fraction(0)), Fraction(last))
            low = math.floor(inside)
            return Between(low, min(low + 1, last), float(inside - low))
        half = Fraction(1, 2)
        nearest = {
            "floor": math.floor(c),
            "ceil": math.ceil(c),
            "round_prefer_floor": math.ceil(c - half),
            "round_prefer_ceil": math.floor(c + half),
        }[self.rounding]
        inside_at = min(max(nearest, 0), last)
        return Between(inside_at, inside_at, 0.0)

    def reference(self, weights: Weights, x: Array) -> Array:
        for axis, along in zip((2, 3), self.positions(TensorType.of(*x.shape[1:])), strict=True):
            low, high, share = (np.array(column) for column in zip(*along, strict=True))
            share = share.reshape(-1, *(1,) * (3 - axis))
            x = x.take(low, axis) * (1.0 - share) + x.take(high, axis) * share
        return x

    def window(self) -> Window:
        return Window((1, 1) if self.mode == "nearest" else (2, 2), None)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        larger, smaller = Size2d(height=7, width=9), Size2d(height=3, width=2)
        rules: tuple[Coordinates, ...] = ("half_pixel", "asymmetric", "align_corners")
        roundings: tuple[RoundingOfPositions, ...] = ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")
        bilinear = [
            Sample(cls(mode="bilinear", coordinates=rule, size=size), ((2, 5, 4),))
            for rule in rules
            for size in (both(10), larger, smaller, both(1))
        ]
        nearest = [
            Sample(cls(mode="nearest", coordinates=rule, rounding=rounding, size=size), ((2, 6, 4),))
            for rule in rules
            for rounding in roundings
            for size in (larger, smaller)
        ]
        return (
            Sample(cls(mode="nearest", coordinates="asymmetric", scale=2.0), ((3, 4, 5),)),
            Sample(
                cls(mode="nearest", coordinates="half_pixel", rounding="round_prefer_floor", scale=3.0), ((3, 2, 4),)
            ),
            Sample(cls(mode="nearest", coordinates="asymmetric", scale=0.5), ((3, 5, 6),)),
            Sample(cls(mode="bilinear", coordinates="half_pixel", scale=2.0), ((3, 4, 3),)),
            Sample(cls(mode="bilinear", coordinates="align_corners", scale=2.0), ((3, 4, 3),)),
            Sample(cls(mode="bilinear", coordinates="half_pixel", scale=1.5), ((2, 4, 5),)),
            Sample(cls(mode="nearest", coordinates="asymmetric", size=both(49)), ((1, 1, 2),)),  # 1/49 is no float
            *bilinear,
            *nearest,
        )
