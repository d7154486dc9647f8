"""Normalization of each sample over groups of channels, or over each channel."""

from typing import Self

from netspec.arrays import np
from netspec.errors import ShapeError
from netspec.ops.attributes import PositiveFloat, PositiveInt
from netspec.ops.base import (
    Array,
    Sample,
    Weight,
    WeightedOp,
    Weights,
    Window,
    require_channels,
    require_groups,
    scale_and_shift,
)
from netspec.types import TensorType


class GroupNorm(WeightedOp, kind="group_norm"):
    """(x − mean) / √(variance + epsilon) over each of `groups` groups of channels and all positions of a sample.

    If `affine`, the result is multiplied by a weight and a bias is added, for each channel.

    Shapes:
        x (N, C, …) → the same; weight and bias (C,).

    Source: Wu & He 2018.
    """

    trap = "another epsilon (1e-3 in Keras), or channels grouped on the wrong axis"

    groups: PositiveInt
    epsilon: PositiveFloat = 1e-5
    affine: bool = True

    def infer(self, x: TensorType) -> TensorType:
        channels = require_channels(self.kind, x, least_rank=3)
        require_groups(self.kind, self.groups, channels=channels)
        if x.size == self.groups:
            raise ShapeError(
                f"group_norm in {self.groups} groups has one value in each, which minus its mean is always 0",
                "use fewer groups, or a larger map",
                "groups",
            )
        return x

    def separates(self, parts: int, axis: int) -> bool:
        return axis == 1 and self.groups % parts == 0

    def share(self, parts: int) -> Self:
        return self.model_copy(update={"groups": self.groups // parts})

    def weights(self, x: TensorType) -> dict[str, Weight]:
        return scale_and_shift(x.features[0]) if self.affine else {}

    def reference(self, weights: Weights, x: Array) -> Array:
        grouped = x.reshape(x.shape[0], self.groups, -1)
        mean, variance = grouped.mean(axis=2, keepdims=True), grouped.var(axis=2, keepdims=True)
        y: Array = ((grouped - mean) / np.sqrt(variance + self.epsilon)).reshape(x.shape)
        if not self.affine:
            return y
        channel = (slice(None), *(None,) * (x.ndim - 2))
        return y * weights["weight"][channel] + weights["bias"][channel]

    def window(self) -> Window | None:
        return None

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls(groups=2), ((6, 3, 4),)),
            Sample(cls(groups=1, epsilon=1e-3), ((4, 5, 3),)),
            Sample(cls(groups=4, affine=False), ((4, 3, 5),)),
            Sample(cls(groups=3), ((6, 5),)),
            Sample(cls(groups=2), ((4, 2, 3, 2),)),
            Sample(cls(groups=2), ((4, 1, 1),)),  # groups of two numbers
        )


class InstanceNorm(WeightedOp, kind="instance_norm"):
    """(x − mean) / √(variance + epsilon) over all positions of each channel of a sample.

    If `affine`, the result is multiplied by a weight and a bias is added, for each channel. There are no running
    statistics: training and inference are the same.

    Shapes:
        x (N, C, …) → the same; weight and bias (C,).

    Source: Ulyanov, Vedaldi & Lempitsky 2016.
    """

    trap = "another epsilon (1e-3 in Keras), or all channels together"

    epsilon: PositiveFloat = 1e-5
    affine: bool = True

    def infer(self, x: TensorType) -> TensorType:
        channels = require_channels(self.kind, x, least_rank=3)
        if x.size == channels:
            raise ShapeError(
                "instance_norm has one position in each channel, which minus its mean is always 0",
                "use it on a larger map, or use group_norm",
            )
        return x

    def separates(self, parts: int, axis: int) -> bool:
        return axis == 1

    def weights(self, x: TensorType) -> dict[str, Weight]:
        return scale_and_shift(x.features[0]) if self.affine else {}

    def reference(self, weights: Weights, x: Array) -> Array:
        return GroupNorm(groups=x.shape[1], epsilon=self.epsilon, affine=self.affine).reference(weights, x)

    def window(self) -> Window | None:
        return None

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls(), ((6, 3, 4),)),
            Sample(cls(epsilon=1e-3), ((4, 5, 3),)),
            Sample(cls(affine=False), ((4, 3, 5),)),
            Sample(cls(), ((3, 5),)),
            Sample(cls(), ((2, 3, 4, 2),)),
            Sample(cls(), ((3, 1, 4),)),
        )
