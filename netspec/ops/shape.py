"""Ops that change the shape or the order of elements."""

import math

from pydantic import Field

from netspec.errors import ShapeError
from netspec.ops.attributes import NonNegativeInt, PositiveInt
from netspec.ops.base import (
    Array,
    Sample,
    Weights,
    Window,
    require_channels,
    require_even,
    require_groups,
    resolve_axis,
)
from netspec.ops.curvature import Moving
from netspec.types import TensorType


class Identity(Moving, kind="identity"):
    """x itself, under another name. Shapes: x → the same."""

    def infer(self, x: TensorType) -> TensorType:
        return x

    def separates(self, parts: int, axis: int) -> bool:
        return True

    def reference(self, weights: Weights, x: Array) -> Array:
        return x

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (Sample(cls(), ((3, 4, 5),)), Sample(cls(), ((4,),)))


class Flatten(Moving, kind="flatten"):
    """All axes after the batch joined into one, in the order C, H, W. Shapes: x (N, …) → (N, product)."""

    trap = "elements taken in the order H, W, C instead of C, H, W"

    def infer(self, x: TensorType) -> TensorType:
        return x.with_features(x.size)

    def separates(self, parts: int, axis: int) -> bool:
        return True

    def reference(self, weights: Weights, x: Array) -> Array:
        return x.reshape(x.shape[0], -1)

    def window(self) -> Window | None:
        return None

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls(), ((3, 4, 5),)),
            Sample(cls(), ((6,),)),
            Sample(cls(), ((3, 4),)),
            Sample(cls(), ((2, 3, 4, 2),)),
            Sample(cls(), ((),)),
        )


class Reshape(Moving, kind="reshape"):
    """The axes after the batch reshaped to `shape`, elements in the order C, H, W; one size may be −1, to be inferred.

    Shapes: x (N, …) → (N, *shape).
    """

    trap = "elements taken in the order H, W, C instead of C, H, W"

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
                "positive sizes with that product, without the batch; one of them may be -1",
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
            Sample(cls(shape=(6, -1, 2)), ((2, 3, 4, 2),)),
            Sample(cls(shape=(1, 1, 1)), ((),)),
        )


class Permute(Moving, kind="permute"):
    """The axes after the batch in another order; axis 1 is the first of them.

    Shapes: with `axes: [2, 3, 1]`, x (N, C, H, W) → (N, H, W, C).
    """

    trap = "axes numbered in the framework's layout instead of N, C, H, W"

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
            Sample(cls(axes=(3, 1, 4, 2)), ((2, 3, 4, 2),)),
        )


class Slice(Moving, kind="slice"):
    """Every `step`-th element of [start, stop) along an axis, or one of `of` equal parts of the axis.

    Negative bounds count from the end, and `stop` defaults to the end; the graph stores them as positive numbers.
    `part: 0` with `of: 2` is the first half. What other languages call split or chunk is written as one slice for each
    part.

    Shapes:
        with `axis: 1, part: 0, of: 2`, x (N, C, H, W) → (N, C/2, H, W).
    """

    trap = "another axis: channels are last in Keras"

    axis: int = 1
    start: int = 0
    stop: int | None = None
    step: PositiveInt = 1
    part: NonNegativeInt | None = None
    of: PositiveInt | None = None

    def resolve(self, x: TensorType) -> "Slice":
        axis = resolve_axis(self.kind, self.axis, x)
        size = x.features[axis - 1]
        if self.part is None and self.of is None:
            start, stop, _ = slice(self.start, self.stop).indices(size)
            return Slice(axis=axis, start=start, stop=stop, step=self.step)
        if self.part is None or self.of is None or (self.start, self.stop, self.step) != (0, None, 1):
            raise ShapeError(
                "slice takes either `part` with `of`, or `start`, `stop` and `step`",
                "`part: 0` with `of: 2` is the first half",
                "part" if self.of is None else "of",
            )
        if self.part >= self.of:
            raise ShapeError(
                f"slice: there is no part {self.part} of {self.of}; parts are numbered from 0", attribute="part"
            )
        require_even(self.kind, size, self.of, f"positions of axis {axis}", "parts", "of")
        return Slice(axis=axis, part=self.part, of=self.of)

    def bounds(self, x: TensorType) -> tuple[int, int, int]:
        """Return the non-negative start, stop and step for an input of this type."""
        size = x.features[resolve_axis(self.kind, self.axis, x) - 1]
        if self.part is not None and self.of is not None:
            length = size // self.of
            return self.part * length, (self.part + 1) * length, 1
        return slice(self.start, self.stop, self.step).indices(size)

    def infer(self, x: TensorType) -> TensorType:
        axis = resolve_axis(self.kind, self.axis, x) - 1
        features = list(x.features)
        kept = range(*self.bounds(x))
        if not kept:
            raise ShapeError(
                f"slice [{self.start}, {self.stop}) keeps nothing of axis {axis + 1} of {x}", attribute="stop"
            )
        features[axis] = len(kept)
        return x.with_features(*features)

    def separates(self, parts: int, axis: int) -> bool:
        return axis != self.axis

    def reference(self, weights: Weights, x: Array) -> Array:
        bounds = self.bounds(TensorType.of(*x.shape[1:]))
        return x[(*(slice(None),) * self.axis, slice(*bounds))]

    def window(self) -> Window | None:
        return Window() if self.axis == 1 else None

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls(stop=2), ((5, 3, 4),)),
            Sample(cls(part=1, of=3), ((6, 3, 4),)),
            Sample(cls(axis=2, start=1, step=2), ((3, 6, 4),)),
            Sample(cls(axis=-1, start=-3, stop=-1), ((3, 4, 5),)),
            Sample(cls(part=1, of=2), ((6,),)),
            Sample(cls(start=0, stop=1), ((4, 5),)),
            Sample(cls(axis=2, part=0, of=2), ((3, 4),)),
            Sample(cls(axis=3, start=-3, step=2), ((2, 3, 4, 2),)),
            Sample(cls(), ((3, 4, 2),)),
        )


class ChannelShuffle(Moving, kind="channel_shuffle"):
    """The channels of `groups` groups interleaved: channel i·groups + g of the result is channel g·C/groups + i.

    Shapes:
        x (N, C, …) → the same.

    Source: Zhang et al. 2017 (ShuffleNet), section 3.1.
    """

    trap = "interleaved the other way: C/groups groups instead of `groups`"

    groups: PositiveInt

    def infer(self, x: TensorType) -> TensorType:
        channels = require_channels(self.kind, x, least_rank=3)
        require_groups(self.kind, self.groups, channels=channels)
        return x

    def reference(self, weights: Weights, x: Array) -> Array:
        grouped = x.reshape(x.shape[0], self.groups, -1, *x.shape[2:])
        return grouped.swapaxes(1, 2).reshape(x.shape)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls(groups=2), ((6, 3, 4),)),
            Sample(cls(groups=3), ((6, 4, 5),)),
            Sample(cls(groups=2), ((8, 3),)),
            Sample(cls(groups=1), ((4, 2, 3),)),
            Sample(cls(groups=2), ((4, 3, 2, 2),)),
        )
