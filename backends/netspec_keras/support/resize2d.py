"""Resizing with coordinate and rounding rules that Keras lacks."""

import math
from fractions import Fraction
from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="netspec")
class Resize2D(layers.Layer):
    """Nearest or bilinear resizing with the coordinate rules of ONNX Resize.

    Along an axis resized from L to n, output i reads coordinate c, clamped to the map:
    half_pixel, c = (i + 1/2) L/n - 1/2; asymmetric, c = i L/n; align_corners,
    c = i (L - 1)/(n - 1).
    """

    def __init__(
        self,
        size: int | tuple[int, int],
        mode: str,
        coordinates: str,
        rounding: str = "floor",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.size = (size, size) if isinstance(size, int) else tuple(size)
        self.mode = mode
        self.coordinates = coordinates
        self.rounding = rounding

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        x = inputs
        for axis, count in zip((1, 2), self.size):
            last = x.shape[axis] - 1
            exact = [self.coordinate(i, last + 1, count) for i in range(count)]
            if self.mode == "nearest":
                nearest = [min(max(self.round(c), 0), last) for c in exact]
                x = ops.take(x, nearest, axis=axis)
                continue
            clamped = [min(max(c, Fraction(0)), Fraction(last)) for c in exact]
            low = [math.floor(c) for c in clamped]
            fractions = [float(c % 1) for c in clamped]
            weight = ops.convert_to_tensor(fractions, dtype=self.compute_dtype)
            weight = ops.reshape(weight, (-1, 1, 1) if axis == 1 else (-1, 1))
            before = ops.take(x, low, axis=axis)
            after = ops.take(x, [min(i + 1, last) for i in low], axis=axis)
            x = before + (after - before) * weight
        return x

    def coordinate(self, i: int, length: int, count: int) -> Fraction:
        """Return the exact input coordinate of output `i`."""
        if self.coordinates == "half_pixel":
            return Fraction((2 * i + 1) * length, 2 * count) - Fraction(1, 2)
        if self.coordinates == "asymmetric":
            return Fraction(i * length, count)
        return Fraction(i * (length - 1), max(1, count - 1))

    def round(self, c: Fraction) -> int:
        """Round a coordinate to an index."""
        half = Fraction(1, 2)
        if self.rounding == "floor":
            return math.floor(c)
        if self.rounding == "ceil":
            return math.ceil(c)
        if self.rounding == "round_prefer_floor":
            return math.ceil(c - half)
        return math.floor(c + half)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "size": self.size,
            "mode": self.mode,
            "coordinates": self.coordinates,
            "rounding": self.rounding,
        }
