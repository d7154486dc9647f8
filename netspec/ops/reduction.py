"""Reductions along axes, and L2 normalization."""

import math
from collections.abc import Sequence

from pydantic import Field

from netspec.arrays import np
from netspec.ops.attributes import PositiveFloat
from netspec.ops.axes import AlongAxes
from netspec.ops.base import Array, Curvature, Sample, Weights, resolve_axes
from netspec.types import TensorType


class Reduction(AlongAxes):
    """Base class of reductions along `axes`, which are kept with size 1 if `keepdims`.

    Axis 1 is the first after the batch, −1 the last.

    Shapes:
        with `axes: [2, 3]`, x (N, C, H, W) → (N, C), or (N, C, 1, 1) with `keepdims`.
    """

    trap = "the reduced axes kept or dropped, or axes numbered in the framework's layout instead of N, C, H, W"

    axes: tuple[int, ...] = Field(strict=False, min_length=1)
    keepdims: bool = False

    def infer(self, x: TensorType) -> TensorType:
        axes = resolve_axes(self.kind, self.axes, x)
        sizes = ((1 if axis in axes else size, axis in axes) for axis, size in enumerate(x.features, 1))
        return x.with_features(*(size for size, reduced in sizes if self.keepdims or not reduced))

    def slope(self, x: Array, kept: Array) -> Array:
        """Compute the derivative of the output in each element it reads; `kept` is the output with all its axes."""
        raise NotImplementedError(self.kind)

    def curvature(self, weights: Weights, inputs: Sequence[Array], output: Array, h: Array) -> Curvature:
        (x,) = inputs
        kept, h_kept = (a if self.keepdims else np.expand_dims(a, self.axes) for a in (output, h))
        return Curvature((np.broadcast_to(self.slope(x, kept) ** 2 * h_kept, x.shape),))

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls(axes=(2, 3)), ((3, 5, 4),)),
            Sample(cls(axes=(2, 3), keepdims=True), ((3, 5, 4),)),
            Sample(cls(axes=(1,)), ((3, 5, 4),)),
            Sample(cls(axes=(1,), keepdims=True), ((3, 5, 4),)),
            Sample(cls(axes=(2,)), ((3, 5, 4),)),  # the result is a sequence, channels first
            Sample(cls(axes=(-1,)), ((3, 5, 4),)),
            Sample(cls(axes=(3, 1)), ((3, 5, 4),)),
            Sample(cls(axes=(1,)), ((2, 3, 5, 4),)),  # the result is a map
            Sample(cls(axes=(3,)), ((3, 5, 2, 4),)),
            Sample(cls(axes=(2, 4), keepdims=True), ((3, 5, 2, 4),)),
            Sample(cls(axes=(1, 2, 3)), ((3, 5, 4),)),
            Sample(cls(axes=(1,)), ((4, 6),)),
            Sample(cls(axes=(2,), keepdims=True), ((4, 6),)),
            Sample(cls(axes=(1,), keepdims=True), ((6,),)),
        )


class ReduceMean(Reduction, kind="reduce_mean"):
    """The mean along `axes`, which are kept with size 1 if `keepdims`.

    Axis 1 is the first after the batch, −1 the last.

    Shapes:
        with `axes: [2, 3]`, x (N, C, H, W) → (N, C), or (N, C, 1, 1) with `keepdims`.
    """

    def reference(self, weights: Weights, x: Array) -> Array:
        y: Array = x.mean(axis=self.axes, keepdims=self.keepdims)
        return y

    def slope(self, x: Array, kept: Array) -> Array:
        return np.full((), 1 / math.prod(x.shape[axis] for axis in self.axes))


class ReduceSum(Reduction, kind="reduce_sum"):
    """The sum along `axes`, which are kept with size 1 if `keepdims`.

    Axis 1 is the first after the batch, −1 the last.

    Shapes:
        with `axes: [2, 3]`, x (N, C, H, W) → (N, C), or (N, C, 1, 1) with `keepdims`.
    """

    def reference(self, weights: Weights, x: Array) -> Array:
        y: Array = x.sum(axis=self.axes, keepdims=self.keepdims)
        return y

    def slope(self, x: Array, kept: Array) -> Array:
        return np.ones(())


class ReduceMax(Reduction, kind="reduce_max"):
    """The maximum along `axes`, which are kept with size 1 if `keepdims`.

    If several elements are equal to the maximum, each gets an equal share of the gradient. Axis 1 is the first after
    the batch, −1 the last.

    Shapes:
        with `axes: [2, 3]`, x (N, C, H, W) → (N, C), or (N, C, 1, 1) with `keepdims`.
    """

    def reference(self, weights: Weights, x: Array) -> Array:
        y: Array = x.max(axis=self.axes, keepdims=self.keepdims)
        return y

    def slope(self, x: Array, kept: Array) -> Array:
        return _shared(x, kept, self.axes)


class ReduceMin(Reduction, kind="reduce_min"):
    """The minimum along `axes`, which are kept with size 1 if `keepdims`.

    If several elements are equal to the minimum, each gets an equal share of the gradient. Axis 1 is the first after
    the batch, −1 the last.

    Shapes:
        with `axes: [2, 3]`, x (N, C, H, W) → (N, C), or (N, C, 1, 1) with `keepdims`.
    """

    def reference(self, weights: Weights, x: Array) -> Array:
        y: Array = x.min(axis=self.axes, keepdims=self.keepdims)
        return y

    def slope(self, x: Array, kept: Array) -> Array:
        return _shared(x, kept, self.axes)


class ReduceL2(Reduction, kind="reduce_l2"):
    """The L2 norm √Σx² along `axes`, which are kept with size 1 if `keepdims`.

    Its gradient at 0 is 0. Axis 1 is the first after the batch, −1 the last.

    Shapes:
        with `axes: [2, 3]`, x (N, C, H, W) → (N, C), or (N, C, 1, 1) with `keepdims`.
    """

    def reference(self, weights: Weights, x: Array) -> Array:
        y: Array = np.sqrt((x * x).sum(axis=self.axes, keepdims=self.keepdims))
        return y

    def slope(self, x: Array, kept: Array) -> Array:
        return x / np.where(kept > 0, kept, 1.0)


def _shared(x: Array, chosen: Array, axes: tuple[int, ...]) -> Array:
    """1 for the elements that are the chosen one, divided among those that are equal to it; 0 for the others."""
    equal = (x == chosen).astype(np.float64)
    shares: Array = equal / equal.sum(axis=axes, keepdims=True)
    return shares


class L2Normalize(AlongAxes, kind="l2_normalize"):
    """x / max(‖x‖, epsilon), with the L2 norm √Σx² over `axes` of each sample.

    Axis 1 is the first after the batch, −1 the last.

    Shapes:
        x (N, …) → the same.

    Source: PyTorch functional.normalize; TensorFlow's epsilon bounds ‖x‖² instead.
    """

    trap = "epsilon as the lower bound of the squared norm, or other axes"

    axes: tuple[int, ...] = Field((-1,), strict=False, min_length=1)
    epsilon: PositiveFloat = 1e-12

    def reference(self, weights: Weights, x: Array) -> Array:
        norm = np.sqrt((x * x).sum(axis=self.axes, keepdims=True))
        y: Array = x / np.maximum(norm, self.epsilon)
        return y

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls(), ((8,),)),
            Sample(cls(axes=(1,)), ((3, 5, 4),)),
            Sample(cls(axes=(1, 2, 3)), ((3, 5, 4),)),
            Sample(cls(axes=(2,)), ((4, 6),)),
            Sample(cls(axes=(1, 4)), ((2, 3, 4, 2),)),
            Sample(cls(axes=(1,), epsilon=2.0), ((4, 3, 5),)),  # norms above and below epsilon
            Sample(cls(), ((1,),), scale=60.0),
        )
