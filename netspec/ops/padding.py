"""Padding with constants, or by reflection."""

from typing import Literal

from netspec.arrays import np
from netspec.errors import ShapeError
from netspec.ops.attributes import NonNegativeInt, Padding, padding_of
from netspec.ops.base import Array, Sample, Weights, require_map, resolve_axis
from netspec.ops.curvature import Moving
from netspec.types import TensorType


class Pad(Moving, kind="pad"):
    """Adds elements of a constant `value` at the start and at the end of one axis, by default the channels.

    Axis 1 is the first after the batch, −1 the last.

    Shapes: with `start: 1, end: 2`, x (N, C, …) → (N, C + 3, …).

    Source: He et al. 2016, section 3.3, option A: a shortcut to more channels with zeros.
    """

    trap = "elements on the other side, or along another axis: channels are last in Keras"

    axis: int = 1
    start: NonNegativeInt = 0
    end: NonNegativeInt = 0
    value: float = 0.0

    def resolve(self, x: TensorType) -> "Pad":
        return self.model_copy(update={"axis": resolve_axis(self.kind, self.axis, x)})

    def infer(self, x: TensorType) -> TensorType:
        axis = resolve_axis(self.kind, self.axis, x) - 1
        features = list(x.features)
        features[axis] += self.start + self.end
        return x.with_features(*features)

    def separates(self, parts: int, axis: int) -> bool:
        return axis != self.axis

    def reference(self, weights: Weights, x: Array) -> Array:
        sides = [(self.start, self.end) if axis == self.axis else (0, 0) for axis in range(x.ndim)]
        return np.pad(x, sides, constant_values=self.value)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls(end=2), ((3, 4, 5),)),
            Sample(cls(start=1, end=2, value=-1.5), ((3, 4, 5),)),
            Sample(cls(axis=2, start=1), ((3, 4, 5),)),
            Sample(cls(axis=-1, start=2, end=1), ((3, 4, 5),)),
            Sample(cls(start=1), ((6,),)),
            Sample(cls(axis=2, end=2), ((4, 6),)),
            Sample(cls(axis=-2, start=1, value=0.5), ((2, 3, 4, 2),)),
            Sample(cls(), ((3, 4),)),
        )


class Pad2d(Moving, kind="pad2d"):
    """Adds elements on the sides of a map: a constant `value`, or with `mode: reflect` its reflection without the edge.

    Shapes: x (N, C, H, W) → (N, C, H + top + bottom, W + left + right).
    """

    trap = "sides in another order: torch pads left, right, top, bottom"

    padding: Padding
    mode: Literal["constant", "reflect"] = "constant"
    value: float = 0.0

    def infer(self, x: TensorType) -> TensorType:
        channels, height, width = require_map(self.kind, x)
        p = self.padding
        if self.mode == "reflect" and (max(p.top, p.bottom) >= height or max(p.left, p.right) >= width):
            raise ShapeError(
                f"pad2d cannot reflect {p} of a map of {height}x{width}: expected less padding than the map's size",
                attribute="padding",
            )
        if self.mode == "reflect" and self.value:
            raise ShapeError("pad2d: `value` belongs to mode constant, received mode reflect", attribute="value")
        return x.with_features(channels, height + p.top + p.bottom, width + p.left + p.right)

    def separates(self, parts: int, axis: int) -> bool:
        return True

    def reference(self, weights: Weights, x: Array) -> Array:
        p = self.padding
        sides = ((0, 0), (0, 0), (p.top, p.bottom), (p.left, p.right))
        if self.mode == "reflect":
            return np.pad(x, sides, mode="reflect")
        return np.pad(x, sides, constant_values=self.value)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls(padding=padding_of((1, 2, 3, 0))), ((2, 4, 5),)),
            Sample(cls(padding=padding_of((1, 1, 1, 1)), value=-1.5), ((2, 3, 5),)),
            Sample(cls(padding=padding_of((2, 1, 0, 3)), mode="reflect"), ((2, 4, 5),)),
            Sample(cls(padding=padding_of((0, 0, 0, 0))), ((2, 3, 4),)),
        )
