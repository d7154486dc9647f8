"""Ops that move elements and compute nothing."""

import math
from typing import ClassVar, Literal

from pydantic import Field

from netspec.arrays import np
from netspec.errors import ShapeError
from netspec.ops.attributes import Padding, padding_of
from netspec.ops.base import Array, Op, Sample, Weights, Window, require_map
from netspec.types import TensorType


class Identity(Op, kind="identity"):
    """x itself: a name for a value. Shapes: x → the same."""

    def infer(self, x: TensorType) -> TensorType:
        return x

    def reference(self, weights: Weights, x: Array) -> Array:
        return x

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (Sample(cls(), ((3, 4, 5),)), Sample(cls(), ((4,),)))


class Flatten(Op, kind="flatten"):
    """All axes after the batch as one, in the order C, H, W. Shapes: x (N, …) → (N, product)."""

    trap: ClassVar[str] = "elements taken in the order H, W, C instead of C, H, W"

    def infer(self, x: TensorType) -> TensorType:
        return x.with_features(x.size)

    def reference(self, weights: Weights, x: Array) -> Array:
        return x.reshape(x.shape[0], -1)

    def window(self) -> Window | None:
        return None

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (Sample(cls(), ((3, 4, 5),)), Sample(cls(), ((6,),)), Sample(cls(), ((3, 4),)))


class Reshape(Op, kind="reshape"):
    """The axes after the batch as other axes, elements in canonical (C, H, W) order; one may be −1, the rest.

    Shapes: x (N, …) → (N, *shape).
    """

    trap: ClassVar[str] = "elements taken in the order H, W, C instead of C, H, W"

    shape: tuple[int, ...] = Field(strict=False, min_length=1)

    def resolve(self, x: TensorType) -> "Reshape":
        if self.shape.count(-1) != 1:
            return self
        known = math.prod(d for d in self.shape if d != -1)
        if known <= 0 or x.size % known:
            return self
        return Reshape(shape=tuple(x.size // known if d == -1 else d for d in self.shape))

    def infer(self, x: TensorType) -> TensorType:
        if any(d <= 0 for d in self.shape) or math.prod(self.shape) != x.size:
            raise ShapeError(
                f"reshape cannot turn {x}, {x.size} elements a sample, into {list(self.shape)}",
                "positive sizes with that product, the batch left out; one of them may be -1",
                "shape",
            )
        return x.with_features(*self.shape)

    def reference(self, weights: Weights, x: Array) -> Array:
        return x.reshape(x.shape[0], *self.shape)

    def window(self) -> Window | None:
        return None

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls(shape=(6, -1)), ((3, 4, 5),)),
            Sample(cls(shape=(2, 3, 4)), ((24,),)),
            Sample(cls(shape=(4, 3, 5)), ((3, 4, 5),)),
            Sample(cls(shape=(-1,)), ((3, 4),)),
            Sample(cls(shape=(2, 2, 3, 2)), ((4, 6),)),
        )


class Permute(Op, kind="permute"):
    """The axes after the batch in another order; axis 1 is the first of them, the batch stays.

    Shapes: with `axes: [2, 3, 1]`, x (N, C, H, W) → (N, H, W, C).
    """

    trap: ClassVar[str] = "axes numbered in the framework's layout instead of N, C, H, W"

    axes: tuple[int, ...] = Field(strict=False, min_length=1)

    def infer(self, x: TensorType) -> TensorType:
        if sorted(self.axes) != list(range(1, x.rank)):
            raise ShapeError(
                f"permute expects the axes {list(range(1, x.rank))} of {x} in some order, received {list(self.axes)}",
                attribute="axes",
            )
        return x.with_features(*(x.features[a - 1] for a in self.axes))

    def reference(self, weights: Weights, x: Array) -> Array:
        return x.transpose(0, *self.axes)

    def window(self) -> Window | None:
        return None

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls(axes=(2, 3, 1)), ((3, 4, 5),)),
            Sample(cls(axes=(1, 3, 2)), ((3, 4, 5),)),
            Sample(cls(axes=(3, 1, 2)), ((3, 4, 5),)),
            Sample(cls(axes=(2, 1)), ((3, 4),)),
        )


class Pad2d(Op, kind="pad2d"):
    """Elements around a map: a constant `value`, or its `reflect`ion without the edge.

    Shapes: x (N, C, H, W) → (N, C, H + top + bottom, W + left + right).
    """

    trap: ClassVar[str] = "sides in another order: torch pads left, right, top, bottom"

    padding: Padding
    mode: Literal["constant", "reflect"] = "constant"
    value: float = 0.0

    def infer(self, x: TensorType) -> TensorType:
        channels, height, width = require_map(self.kind, x)
        p = self.padding
        if self.mode == "reflect" and (max(p.top, p.bottom) >= height or max(p.left, p.right) >= width):
            raise ShapeError(
                f"pad2d cannot reflect {p} of a map of {height}x{width}: a reflection is smaller than the map",
                attribute="padding",
            )
        if self.mode == "reflect" and self.value:
            raise ShapeError("pad2d: `value` belongs to mode constant, received mode reflect", attribute="value")
        return x.with_features(channels, height + p.top + p.bottom, width + p.left + p.right)

    def reference(self, weights: Weights, x: Array) -> Array:
        p = self.padding
        sides = ((0, 0), (0, 0), (p.top, p.bottom), (p.left, p.right))
        if self.mode == "reflect":
            return np.pad(x, sides, mode="reflect")
        return np.pad(x, sides, constant_values=self.value)

    def window(self) -> Window:
        return Window(padding=(self.padding.top, self.padding.left))

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls(padding=padding_of((1, 2, 3, 0))), ((2, 4, 5),)),
            Sample(cls(padding=padding_of((1, 1, 1, 1)), value=-1.5), ((2, 3, 5),)),
            Sample(cls(padding=padding_of((2, 1, 0, 3)), mode="reflect"), ((2, 4, 5),)),
            Sample(cls(padding=padding_of((0, 0, 0, 0))), ((2, 3, 4),)),
        )
