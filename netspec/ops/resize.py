"""Resizing of maps by nearest-neighbor or bilinear interpolation, with an explicit coordinate rule."""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Literal, NamedTuple

from netspec.arrays import np
from netspec.errors import ShapeError
from netspec.ops.attributes import Scale2d, Size2d, both
from netspec.ops.base import Array, Curvature, Op, Sample, Weights, Window, require_map
from netspec.types import TensorType

Coordinates = Literal["half_pixel", "asymmetric", "align_corners"]
RoundingOfPositions = Literal["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"]


class Between(NamedTuple):
    """The two elements that one output position along an axis interpolates: (1 − share) · low + share · high."""

    low: int
    high: int
    share: float


def _by(factor: float) -> Scale2d:
    """The scale by this factor along both axes."""
    return Scale2d(height=factor, width=factor)


class Resize(Op, kind="resize"):
    """A map resized to `size`, or to its size times `scale`, rounded down; the `scale` of an axis left out is 1.

    Along each axis, output position i of n reads input position c of L, where `coordinates` is one of:
    `half_pixel`: c = (i + ½)·L/n − ½, which aligns the edges of the maps (PyTorch's bilinear, TensorFlow, Keras).
    `asymmetric`: c = i·L/n (PyTorch's nearest).
    `align_corners`: c = i·(L − 1)/(n − 1), which aligns the centers of the first and last elements.
    Positions outside the input are clamped to it. `mode: bilinear` interpolates between the two elements around c.
    `mode: nearest` reads the element at c, rounded by `rounding`; the two `round_prefer_…` differ for halves only.

    Shapes:
        x (N, C, H, W) → (N, C, height, width).

    Source: the coordinate rules and roundings of ONNX Resize, under its names.
    """

    trap = "another coordinate rule: half pixels or not, aligned corners or not, halves rounded up or down"

    size: Size2d | None = None
    scale: Scale2d | None = None
    mode: Literal["nearest", "bilinear"]
    coordinates: Coordinates
    rounding: RoundingOfPositions = "floor"

    def resolve(self, x: TensorType) -> "Resize":
        _, height, width = require_map(self.kind, x)
        if (self.size is None) == (self.scale is None):
            received = "both" if self.size else "neither"
            raise ShapeError(
                f"resize takes a `size` or a `scale`, received {received}", "", "scale" if self.size else ""
            )
        if self.scale is None:
            return self
        # The decimals as written, by which 100 · 0.29 is 29, not 28.
        rows = math.floor(height * Fraction(repr(self.scale.height)))
        columns = math.floor(width * Fraction(repr(self.scale.width)))
        if not rows or not columns:
            raise ShapeError(f"resize: nothing is left of {x} at scale {self.scale}", attribute="scale")
        return self.model_copy(update={"size": Size2d(height=rows, width=columns), "scale": None})

    @property
    def target(self) -> Size2d:
        """The output size, which a resolved op always has."""
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

    def separates(self, parts: int, axis: int) -> bool:
        return True

    def positions(self, x: TensorType) -> tuple[list[Between], list[Between]]:
        """The input rows that each output row interpolates, and the input columns of each output column."""
        _, height, width = require_map(self.kind, x)
        return self._along_axis(height, self.target.height), self._along_axis(width, self.target.width)

    def _along_axis(self, length: int, count: int) -> list[Between]:
        return [self._between(self._coordinate(i, length, count), length - 1) for i in range(count)]

    def _coordinate(self, i: int, length: int, count: int) -> Fraction:
        """The exact input position c of output position i."""
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
        index = min(max(nearest, 0), last)
        return Between(index, index, 0.0)

    def reference(self, weights: Weights, x: Array) -> Array:
        for axis, positions in zip((2, 3), self.positions(TensorType.of(*x.shape[1:])), strict=True):
            low, high, share = (np.array(column) for column in zip(*positions, strict=True))
            share = share.reshape(-1, *(1,) * (3 - axis))
            x = x.take(low, axis) * (1.0 - share) + x.take(high, axis) * share
        return x

    def curvature(self, weights: Weights, inputs: Sequence[Array], output: Array, h: Array) -> Curvature:
        (x,) = inputs
        squares = []
        for length, positions in zip(x.shape[2:], self.positions(TensorType.of(*x.shape[1:])), strict=True):
            factors = np.zeros((len(positions), length))
            for i, (low, high, share) in enumerate(positions):
                factors[i, low] += 1.0 - share
                factors[i, high] += share
            squares.append(factors**2)
        return Curvature((squares[0].T @ h @ squares[1],))

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
            Sample(cls(mode="nearest", coordinates="asymmetric", scale=_by(2.0)), ((3, 4, 5),)),
            Sample(
                cls(mode="nearest", coordinates="half_pixel", rounding="round_prefer_floor", scale=_by(3.0)),
                ((3, 2, 4),),
            ),
            Sample(cls(mode="nearest", coordinates="asymmetric", scale=_by(0.5)), ((3, 5, 6),)),
            Sample(cls(mode="bilinear", coordinates="half_pixel", scale=_by(2.0)), ((3, 4, 3),)),
            Sample(cls(mode="bilinear", coordinates="align_corners", scale=_by(2.0)), ((3, 4, 3),)),
            Sample(cls(mode="bilinear", coordinates="half_pixel", scale=_by(1.5)), ((2, 4, 5),)),
            Sample(cls(mode="nearest", coordinates="asymmetric", scale=Scale2d(width=3.0)), ((2, 1, 4),)),
            Sample(cls(mode="bilinear", coordinates="half_pixel", scale=Scale2d(height=0.5, width=2.0)), ((2, 4, 3),)),
            Sample(cls(mode="nearest", coordinates="asymmetric", size=both(49)), ((1, 1, 2),)),  # 1/49 is inexact
            *bilinear,
            *nearest,
        )
