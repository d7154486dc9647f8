"""Reductions along axes, and L2 normalization."""

from typing import Self

from pydantic import Field

from netspec.arrays import np
from netspec.ops.attributes import PositiveFloat
from netspec.ops.base import Array, Op, Sample, Weights, Window, resolve_axes
from netspec.types import TensorType


class Reduction(Op):
    """Base class of reductions along `axes`, which are kept with size 1 if `keepdims`.

    Axis 1 is the first after the batch, −1 the last.

    Shapes:
        with `axes: [2, 3]`, x (N, C, H, W) → (N, C), or (N, C, 1, 1) with `keepdims`.
    """

    trap = "the reduced axes kept or dropped, or axes numbered in the framework's layout instead of N, C, H, W"

    axes: tuple[int, ...] = Field(strict=False, min_length=1)
    keepdims: bool = False

    def resolve(self, x: TensorType) -> Self:
        return self.model_copy(update={"axes": resolve_axes(self.kind, self.axes, x)})

    def infer(self, x: TensorType) -> TensorType:
        axes = resolve_axes(self.kind, self.axes, x)
        sizes = ((1 if axis in axes else size, axis in axes) for axis, size in enumerate(x.features, 1))
        return x.with_features(*(size for size, reduced in sizes if self.keepdims or not reduced))

    def separates(self, parts: int, axis: int) -> bool:
        return axis not in self.axes

    def window(self) -> Window | None:
        return Window() if self.axes == (1,) else None

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


class ReduceSum(Reduction, kind="reduce_sum"):
    """The sum along `axes`, which are kept with size 1 if `keepdims`.

    Axis 1 is the first after the batch, −1 the last.

    Shapes:
        with `axes: [2, 3]`, x (N, C, H, W) → (N, C), or (N, C, 1, 1) with `keepdims`.
    """

    def reference(self, weights: Weights, x: Array) -> Array:
        y: Array = x.sum(axis=self.axes, keepdims=self.keepdims)
        return y


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


class ReduceL2(Reduction, kind="reduce_l2"):
    """The L2 norm √Σx² along `axes`, which are kept with size 1 if `keepdims`.

    Its gradient at 0 is 0. Axis 1 is the first after the batch, −1 the last.

    Shapes:
        with `axes: [2, 3]`, x (N, C, H, W) → (N, C), or (N, C, 1, 1) with `keepdims`.
    """

    def reference(self, weights: Weights, x: Array) -> Array:
        y: Array = np.sqrt((x * x).sum(axis=self.axes, keepdims=self.keepdims))
        return y


class L2Normalize(Op, kind="l2_normalize"):
    """x / max(‖x‖, epsilon), with the L2 norm √Σx² over `axes` of each sample.

    Axis 1 is the first after the batch, −1 the last.

    Shapes:
        x (N, …) → the same.

    Source: PyTorch functional.normalize; TensorFlow's epsilon bounds ‖x‖² instead.
    """

    trap = "epsilon as the lower bound of the squared norm, or other axes"

    axes: tuple[int, ...] = Field((-1,), strict=False, min_length=1)
    epsilon: PositiveFloat = 1e-12

    def resolve(self, x: TensorType) -> Self:
        return self.model_copy(update={"axes": resolve_axes(self.kind, self.axes, x)})

    def infer(self, x: TensorType) -> TensorType:
        resolve_axes(self.kind, self.axes, x)
        return x

    def separates(self, parts: int, axis: int) -> bool:
        return axis not in self.axes

    def reference(self, weights: Weights, x: Array) -> Array:
        norm = np.sqrt((x * x).sum(axis=self.axes, keepdims=True))
        y: Array = x / np.maximum(norm, self.epsilon)
        return y

    def window(self) -> Window | None:
        return Window() if self.axes == (1,) else None

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
