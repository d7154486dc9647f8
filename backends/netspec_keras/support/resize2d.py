"""Resizing by rules that Keras lacks."""

import math
from fractions import Fraction
from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="netspec")
class Resize2D(layers.Layer):
    """A map of another size, nearest or bilinear, by a coordinate rule of ONNX Resize.

    Position i of n reads position c of a length of L, beyond the ends the last element:
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
                nearest = [min(max(self.rounded(c), 0), last) for c in exact]
                x = ops.take(x, nearest, axis=axis)
                continue
            inside = [min(max(c, Fraction(0)), Fraction(last)) for c in exact]
            low = [math.floor(c) for c in inside]
            shares = [float(c % 1) for c in inside]
            share = ops.convert_to_tensor(shares, dtype=self.compute_dtype)
            share = ops.reshape(share, (-1, 1, 1) if axis == 1 else (-1, 1))
            before = ops.take(x, low, axis=axis)
            after = ops.take(x, [min(i + 1, last) for i in low], axis=axis)
            x = before + (after - before) * share
        return x

    def coordinate(self, i: int, length: int, count: int) -> Fraction:
        """The position that is read, exactly."""
        if self.coordinates == "half_pixel":
            return Fraction((2 * i + 1) * length, 2 * count) - Fraction(1, 2)
        if self.coordinates == "asymmetric":
            return Fraction(i * length, count)
        return Fraction(i * (length - 1), max(1, count - 1))

    def rounded(self, position: Fraction) -> int:
        """The element that is nearest, by the rounding."""
        half = Fraction(1, 2)
        if self.rounding == "floor":
            return math.floor(position)
        if self.rounding == "ceil":
            return math.ceil(position)
        if self.rounding == "round_prefer_floor":
            return math.ceil(position - half)
        return math.floor(position + half)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "size": self.size,
            "mode": self.mode,
            "coordinates": self.coordinates,
            "rounding": self.rounding,
        }
