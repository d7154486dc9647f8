"""Values turned around along axes, which moves elements and computes nothing."""

from pydantic import Field

from netspec.arrays import np
from netspec.errors import ShapeError
from netspec.ops.base import Array, Op, Sample, Weights, Window, resolve_axis
from netspec.types import TensorType


class Roll(Op, kind="roll"):
    """Elements moved along axes by `shifts`; what leaves at one end comes in at the other.

    Position i of an axis goes to position i + shift, counted around: a shift of −3 brings position 3 to the start.

    Shapes:
        x (N, …) → the same.

    Source: NumPy and PyTorch roll; Liu et al. 2021 (Swin Transformer), section 3.2, for what it is used for.
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
        pairs = sorted(
            (resolve_axis(self.kind, axis, x, "axes"), by) for axis, by in zip(self.axes, self.shifts, strict=True)
        )
        if len({axis for axis, _ in pairs}) < len(pairs):
            raise ShapeError(f"roll: axes {list(self.axes)} of {x} name one twice", attribute="axes")
        return Roll(axes=tuple(axis for axis, _ in pairs), shifts=tuple(by for _, by in pairs))

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
