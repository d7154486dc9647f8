"""Normalization of each sample over some of its axes."""

from pydantic import Field

from netspec.arrays import np
from netspec.errors import ShapeError
from netspec.ops.attributes import PositiveFloat
from netspec.ops.axes import AlongAxes
from netspec.ops.base import Array, Sample, Weight, WeightedOp, Weights, resolve_axes, scale_and_shift
from netspec.ops.initializers import constant
from netspec.types import TensorType


class _Normalization(WeightedOp, AlongAxes):
    """Base class of normalizations of each sample over `axes`."""

    axes: tuple[int, ...] = Field((-1,), strict=False, min_length=1)
    epsilon: PositiveFloat = 1e-5
    affine: bool = True


class LayerNorm(_Normalization, kind="layer_norm"):
    """(x − mean) / √(variance + epsilon) over `axes` of each sample, then times weight plus bias if `affine`.

    Axis 1 is the first after the batch, −1 the last. On a map, `axes: [1]` normalizes the channels at each position,
    `[1, 2, 3]` the whole map.

    Shapes:
        x (N, …) → the same; weight and bias have the sizes of `axes`, in the tensor's order.

    Source: Ba, Kiros & Hinton 2016.
    """

    trap = "another epsilon (1e-3 in Keras), or other axes"

    def infer(self, x: TensorType) -> TensorType:
        axes = resolve_axes(self.kind, self.axes, x)
        if all(x.features[axis - 1] == 1 for axis in axes):
            raise ShapeError(
                f"layer_norm over axes {list(axes)} has one value, which minus its mean is always 0",
                "normalize over an axis of several, or use `rms_norm`",
                "axes",
            )
        return x

    def weights(self, x: TensorType) -> dict[str, Weight]:
        return scale_and_shift(*(x.features[axis - 1] for axis in self.axes)) if self.affine else {}

    def reference(self, weights: Weights, x: Array) -> Array:
        mean, variance = x.mean(axis=self.axes, keepdims=True), x.var(axis=self.axes, keepdims=True)
        y: Array = (x - mean) / np.sqrt(variance + self.epsilon)
        if not self.affine:
            return y
        shape = [size if axis in self.axes else 1 for axis, size in enumerate(x.shape)]
        return y * weights["weight"].reshape(shape) + weights["bias"].reshape(shape)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls(), ((8,),)),
            Sample(cls(epsilon=1e-3), ((3, 8),)),
            Sample(cls(axes=(1,)), ((6, 3, 4),)),
            Sample(cls(axes=(1, 2, 3)), ((3, 4, 5),)),
            Sample(cls(axes=(2, 3), affine=False), ((3, 4, 5),)),
            Sample(cls(axes=(-1,)), ((3, 4, 5),)),
            Sample(cls(axes=(1, 3)), ((3, 4, 5),)),
            Sample(cls(axes=(1,)), ((4, 5),)),
            Sample(cls(axes=(2, 4)), ((2, 3, 2, 4),)),
            Sample(cls(axes=(1,)), ((3, 1, 1),)),
        )


class RmsNorm(_Normalization, kind="rms_norm"):
    """x / √(mean of x² + epsilon) over `axes` of each sample, then times weight if `affine`; no mean is subtracted.

    Axis 1 is the first after the batch, −1 the last. On a map, `axes: [1]` normalizes the channels at each position.
    The paper has no epsilon. The default is that of Keras and LLaMA; PyTorch's default is the dtype's epsilon.

    Shapes:
        x (N, …) → the same; weight has the sizes of `axes`, in the tensor's order.

    Source: Zhang & Sennrich 2019, equation 4.
    """

    trap = "another epsilon (the dtype's in PyTorch, 1e-5 in ONNX), the mean subtracted, or other axes"

    epsilon: PositiveFloat = 1e-6

    def weights(self, x: TensorType) -> dict[str, Weight]:
        shape = tuple(x.features[axis - 1] for axis in self.axes)
        return {"weight": Weight(shape, constant(1.0))} if self.affine else {}

    def reference(self, weights: Weights, x: Array) -> Array:
        y: Array = x / np.sqrt((x * x).mean(axis=self.axes, keepdims=True) + self.epsilon)
        if not self.affine:
            return y
        return y * weights["weight"].reshape([n if axis in self.axes else 1 for axis, n in enumerate(x.shape)])

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls(), ((8,),)),
            Sample(cls(epsilon=1e-3), ((3, 8),), scale=0.03),  # mean squares about as large as epsilon
            Sample(cls(axes=(1,)), ((6, 3, 4),)),
            Sample(cls(axes=(1, 2, 3)), ((3, 4, 5),)),
            Sample(cls(axes=(2, 3), affine=False), ((3, 4, 5),)),
            Sample(cls(axes=(-1,)), ((3, 4, 5),)),
            Sample(cls(axes=(1, 3), epsilon=0.5), ((3, 4, 5),)),
            Sample(cls(axes=(1,)), ((4, 5),)),
            Sample(cls(axes=(2,), affine=False), ((4, 6),), scale=60.0),
            Sample(cls(axes=(2, 4)), ((2, 3, 2, 4),)),
        )
