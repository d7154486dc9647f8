"""Cyclic shifts along axes."""

from pydantic import Field

from netspec.arrays import np
from netspec.errors import ShapeError
from netspec.ops.base import Array, Sample, Weights, Window, resolve_axes, resolve_axis
from netspec.ops.curvature import Moving
from netspec.types import TensorType


class Roll(Moving, kind="roll"):
    """Elements shifted cyclically along `axes` by `shifts`.

    Position i of an axis moves to position (i + shift) mod length: a shift of −3 moves position 3 to the start.

    Shapes:
        x (N, …) → the same.

    Source: NumPy and PyTorch roll; Liu et al. 2021 (Swin Transformer), section 3.2, for its use.
    """

    trap = "shifted the other way, or along another axis: channels are last in Keras"

    axes: tuple[int, ...] = Field(strict=False, min_length=1)
    shifts: tuple[int, ...] = Field(strict=False, min_length=1)

    def resolve(self, x: TensorType) -> "Roll":
        if len(self.axes) != len(self.shifts):
            raise ShapeError(
                f"roll takes a shift for each axis, received axes {list(self.axes)} and shifts {list(self.shifts)}",
                attribute="shifts",
            )
        axes = resolve_axes(self.kind, self.axes, x)
        shift_of = {resolve_axis(self.kind, a, x): shift for a, shift in zip(self.axes, self.shifts, strict=True)}
        return Roll(axes=axes, shifts=tuple(shift_of[axis] for axis in axes))

    def infer(self, x: TensorType) -> TensorType:
        self.resolve(x)
        return x

    def reference(self, weights: Weights, x: Array) -> Array:
        return np.roll(x, self.shifts, self.axes)

    def window(self) -> Window | None:
        return Window() if self.axes == (1,) else None

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls(axes=(2,), shifts=(1,)), ((3, 4, 5),)),
            Sample(cls(axes=(3, 1), shifts=(-2, 1)), ((3, 4, 5),)),
            Sample(cls(axes=(1, 2), shifts=(-1, -1)), ((4, 3, 2, 2),)),
            Sample(cls(axes=(-1,), shifts=(7,)), ((3, 5),)),
            Sample(cls(axes=(1,), shifts=(0,)), ((4,),)),
        )
