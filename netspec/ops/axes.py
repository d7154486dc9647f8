"""The base class of ops along several axes."""

from typing import TYPE_CHECKING, Self

from netspec.ops.base import Op, Window, resolve_axes
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
