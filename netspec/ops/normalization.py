"""Local response normalization, and batch normalization."""

from collections.abc import Sequence
from typing import Literal, Self

from netspec.arrays import np
from netspec.errors import ShapeError
from netspec.ops.attributes import PositiveFloat, PositiveInt, Share
from netspec.ops.base import (
    Array,
    Curvature,
    Neighbors,
    Op,
    Sample,
    TrainingResult,
    Weight,
    WeightedOp,
    Weights,
    Window,
    require_channels,
    require_groups,
    require_map,
    scale_and_shift,
)
from netspec.ops.initializers import constant
from netspec.types import TensorType


class LocalResponseNorm(Op, kind="local_response_norm"):
    """x / (k + a · Σ x²)^beta, summed over `size` neighboring channels, or over a size by size patch of the map.

    The `convention` defines a: with `sum`, a = alpha (the paper, TensorFlow); with `mean`, a = alpha / size, or
    alpha / size² within a map (the 2012 code, Caffe, PyTorch, ONNX). The window of position c is
    [c − size // 2, c + (size − 1) // 2], clipped at the edges. Channels in different `groups` are not neighbors.

    Shapes:
        x (N, C, H, W) → the same.

    Source: Krizhevsky et al. 2012, section 3.3; `region: map` is the 2012 code's `rnorm` layer.
    """

    trap = "alpha wrongly divided by size or not divided, k left at 1, neighbors across groups, an even window mirrored"

    size: PositiveInt
    alpha: PositiveFloat
    beta: PositiveFloat
    k: PositiveFloat
    convention: Literal["sum", "mean"]
    groups: PositiveInt = 1
    region: Literal["channels", "map"] = "channels"

    @property
    def alpha_per_element(self) -> float:
        """The factor a of the sum of squares, which depends on the `convention`."""
        if self.convention == "sum":
            return self.alpha
        return self.alpha / (self.size if self.region == "channels" else self.size**2)

    @property
    def reach(self) -> tuple[int, int]:
        """The number of neighbors before and after a position."""
        return self.size // 2, (self.size - 1) // 2

    def infer(self, x: TensorType) -> TensorType:
        channels, _, _ = require_map(self.kind, x)
        require_groups(self.kind, self.groups, channels=channels)
        if self.region == "map" and self.groups != 1:
            raise ShapeError(
                f"local_response_norm within a map reads one channel at a time, received groups {self.groups}",
                "leave `groups` out",
                "groups",
            )
        return x

    def separates(self, parts: int, axis: int) -> bool:
        return self.region == "map" or self.size == 1 or self.groups % parts == 0

    def neighbors(self) -> Neighbors | None:
        return Neighbors(self.groups, *self.reach) if self.region == "channels" else None

    def share(self, parts: int) -> Self:
        groups = 1 if self.groups % parts else self.groups // parts  # one, or a part of one, for a team
        return self.model_copy(update={"groups": groups})

    def padded(self, x: TensorType) -> tuple[int, ...]:
        channels, height, width = require_map(self.kind, x)
        more = self.size - 1
        if self.region == "map":
            return (channels, height + more, width + more)
        return (channels + self.groups * more, height, width)

    def reference(self, weights: Weights, x: Array) -> Array:
        y: Array = x / self._scale(x) ** self.beta
        return y

    def _scale(self, x: Array) -> Array:
        """The sum that is raised to beta: k + a · Σ x²."""
        return self.k + self.alpha_per_element * self._summed(x * x, *self.reach)

    def curvature(self, weights: Weights, inputs: Sequence[Array], output: Array, h: Array) -> Curvature:
        (x,) = inputs
        scale, c = self._scale(x), 2 * self.alpha_per_element * self.beta
        # ∂y_i/∂x_j = −c · y_i · x_j / scale_i for the j in the window of i, plus scale_i^−beta for j = i.
        of_others = self._summed((output / scale) ** 2 * h, *reversed(self.reach)) * (c * x) ** 2
        across = c * output * x / scale
        of_x: Array = of_others + h * ((scale**-self.beta - across) ** 2 - across**2)
        return Curvature((of_x,))

    def _summed(self, x: Array, before: int, after: int) -> Array:
        """The sum over the window of each position, with so many neighbors before and after it."""
        if self.region == "map":
            return self._neighbors(self._neighbors(x, 2, before, after), 3, before, after)
        n, c, h, w = x.shape
        grouped = x.reshape(n, self.groups, c // self.groups, h, w)
        return self._neighbors(grouped, 2, before, after).reshape(x.shape)

    def _neighbors(self, x: Array, axis: int, before: int, after: int) -> Array:
        """Sum over the window of each position along an axis."""
        length = x.shape[axis]
        pad = [(0, 0)] * x.ndim
        pad[axis] = (before, after)
        padded = np.pad(x, pad)
        total = np.zeros_like(x)
        for shift in range(self.size):
            total += padded[(slice(None),) * axis + (slice(shift, shift + length),)]
        return total

    def window(self) -> Window:
        return Window() if self.region == "channels" else Window((self.size, self.size))

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        def of(
            size: int, convention: Literal["sum", "mean"] = "sum", groups: int = 1, **region: str
        ) -> LocalResponseNorm:
            fields = {"size": size, "alpha": 1e-4, "beta": 0.75, "k": 2.0, "convention": convention}
            return cls.model_validate({**fields, "groups": groups, **region})

        pixels = 60.0  # as in a real network; at a standard deviation of 1 a wrong alpha makes too little difference
        return (
            Sample(of(5), ((8, 3, 4),), scale=pixels),
            Sample(of(5, "mean"), ((8, 4, 3),), scale=pixels),
            Sample(of(5, groups=2), ((16, 3, 4),), scale=pixels),
            Sample(of(3, "mean", groups=4), ((8, 2, 3),), scale=pixels),
            Sample(of(4), ((7, 3, 2),), scale=pixels),  # an even size has more neighbors before than after
            Sample(of(2, "mean", groups=2), ((6, 3, 2),), scale=pixels),
            Sample(of(9), ((4, 3, 2),), scale=pixels),  # wider than the channels
            Sample(of(1), ((3, 2, 2),), scale=pixels),
            Sample(of(5), ((200, 2, 3),), scale=pixels),  # backends may compute many channels in another way
            Sample(of(4, "mean", groups=2), ((400, 1, 2),), scale=pixels),
            Sample(of(5, "mean", region="map"), ((3, 7, 6),), scale=pixels),
            Sample(of(4, region="map"), ((2, 5, 7),), scale=pixels),
            Sample(cls(size=5, alpha=0.02, beta=0.6, k=1.0, convention="mean"), ((9, 4, 3),), scale=10.0),
        )


class BatchNorm(WeightedOp, kind="batch_norm"):
    """(x − mean) / √(variance + epsilon) for each channel, then times weight plus bias if `affine`.

    In training, mean and variance are those of the batch (the variance divided by n). At inference they are running
    averages, updated in each training step: running ← (1 − update_rate) · running + update_rate · batch. PyTorch's
    momentum is update_rate, Keras' is 1 − update_rate. `running_variance` selects the variance that is averaged, which
    is divided by n − 1 (`unbiased`, the paper and PyTorch) or by n (`biased`, Keras and ONNX).

    Shapes:
        x (N, C) or (N, C, …) → the same; weight, bias, running_mean, running_variance (C,).

    Source: Ioffe & Szegedy 2015, algorithms 1 and 2.
    """

    trap = "another epsilon (1e-3 in Keras), variance divided by n or n - 1, momentum for 1 - momentum"

    epsilon: PositiveFloat = 1e-5
    update_rate: Share = 0.1
    running_variance: Literal["biased", "unbiased"] = "unbiased"
    affine: bool = True

    def infer(self, x: TensorType) -> TensorType:
        require_channels(self.kind, x)
        return x

    def separates(self, parts: int, axis: int) -> bool:
        return axis == 1

    def weights(self, x: TensorType) -> dict[str, Weight]:
        shape = (x.features[0],)
        running = {
            "running_mean": Weight(shape, constant(0.0), trainable=False),
            "running_variance": Weight(shape, constant(1.0), trainable=False),
        }
        return scale_and_shift(*shape) | running if self.affine else running

    def reference(self, weights: Weights, x: Array) -> Array:
        return self._normalize(weights, x, weights["running_mean"], weights["running_variance"])

    def reference_training(self, weights: Weights, *inputs: Array, mask: "Array | None" = None) -> TrainingResult:
        (x,) = inputs
        axes = (0, *range(2, x.ndim))
        mean, variance = x.mean(axis=axes), x.var(axis=axes)
        count = x.size // x.shape[1]
        averaged = variance * count / (count - 1) if self.running_variance == "unbiased" else variance
        rate = self.update_rate
        updates = {
            "running_mean": (1 - rate) * weights["running_mean"] + rate * mean,
            "running_variance": (1 - rate) * weights["running_variance"] + rate * averaged,
        }
        return TrainingResult(self._normalize(weights, x, mean, variance), updates)

    def _normalize(self, weights: Weights, x: Array, mean: Array, variance: Array) -> Array:
        channel = (slice(None), *(None,) * (x.ndim - 2))
        y: Array = (x - mean[channel]) / np.sqrt(variance[channel] + self.epsilon)
        return y * weights["weight"][channel] + weights["bias"][channel] if self.affine else y

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls(), ((3, 4, 5),)),
            Sample(cls(running_variance="biased", epsilon=1e-3, update_rate=0.01), ((3, 4, 5),)),
            Sample(cls(affine=False), ((4, 3, 2),)),
            Sample(cls(), ((6,),)),
            Sample(cls(running_variance="biased", affine=False), ((6,),)),
            Sample(cls(running_variance="biased"), ((3, 5),)),
            Sample(cls(), ((2, 3, 4, 2),)),
            Sample(cls(), ((3, 1, 1),)),
            Sample(cls(), ((3, 5),)),
        )
