"""The base classes of ops along one axis, or several."""

from typing import TYPE_CHECKING, Self

from netspec.ops.base import Op, Window, resolve_axes, resolve_axis
from netspec.types import TensorType


class AlongAxis(Op):
    """Base class of ops that work along an `axis`, and by default on each position of the other axes alone."""

    if TYPE_CHECKING:  # each op has the attribute with a default of its own
        axis: int

    def resolve(self, x: TensorType) -> Self:
        return self.model_copy(update={"axis": resolve_axis(self.kind, self.axis, x)})

    def infer(self, x: TensorType) -> TensorType:
        resolve_axis(self.kind, self.axis, x)
        return x

    def separates(self, parts: int, axis: int) -> bool:
        return axis != self.axis


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
