"""The axes along which an op works: those of a spec as positive numbers, and a base class of ops over several."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from netspec.errors import ShapeError
from netspec.ops.base import Op, Window
from netspec.types import TensorType


class AlongAxes(Op):
    """Base class of ops that work along `axes`, and on each position of the other axes alone."""

    if TYPE_CHECKING:  # each op has the attribute in an order of its own
        axes: tuple[int, ...]

    def resolve(self, x: TensorType) -> Self:
        return self.model_copy(update={"axes": resolve_axes(self.kind, self.axes, x)})

    def infer(self, x: TensorType) -> TensorType:
        resolve_axes(self.kind, self.axes, x)
        return x

    def separates(self, parts: int, axis: int) -> bool:
        return axis not in self.axes

    def window(self) -> Window | None:
        return Window() if self.axes == (1,) else None


def resolve_axes(kind: str, axes: Sequence[int], x: TensorType) -> tuple[int, ...]:
    """Return the axes as positive numbers in ascending order; raise ShapeError for a wrong or repeated axis."""
    resolved = sorted(resolve_axis(kind, axis, x, "axes") for axis in axes)
    if len(set(resolved)) < len(resolved):
        raise ShapeError(f"{kind}: axes {list(axes)} of {x} repeat an axis", attribute="axes")
    return tuple(resolved)


def resolve_axis(kind: str, axis: int, x: TensorType, attribute: str = "axis") -> int:
    """Return an axis as a positive number; raise ShapeError unless it is an axis after the batch."""
    resolved = axis + x.rank if axis < 0 else axis
    if not 1 <= resolved < x.rank:
        raise ShapeError(
            f"{kind}: axis {axis} is not an axis of {x} after the batch",
            f"axes 1 to {x.rank - 1}, or -1 for the last",
            attribute,
        )
    return resolved
