"""Types that ops' attributes share: sizes, padding, and the one rule for windows that slide."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, GetJsonSchemaHandler, Tag, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from netspec.errors import ShapeError

PositiveInt = Annotated[int, Field(gt=0)]
NonNegativeInt = Annotated[int, Field(ge=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Rounding = Literal["floor", "ceil"]


class Attribute(BaseModel):
    """A value object inside an op: frozen, strict, no unknown keys."""

    # A check makes some seventy of these classes, which decides how long it takes. So validators are built when first
    # used; and modules that hold attributes do without `from __future__ import annotations`, whose texts pydantic would
    # compile one by one, those of the bases again for every subclass.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, defer_build=True)


class _PerAxis(Attribute):
    """A mapping by axis or side that may also be written as one integer for all of them."""

    @model_validator(mode="before")
    @classmethod
    def _spread(cls, value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            return dict.fromkeys(cls.model_fields, value)
        return value

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        mapping = handler.resolve_ref_schema(handler(core))
        axis = next(iter(mapping["properties"].values()))
        limits = {k: axis[k] for k in ("minimum", "exclusiveMinimum") if k in axis}
        return {"anyOf": [{"type": "integer", **limits}, mapping]}


class Size2d(_PerAxis):
    """A height and a width; `3` means both."""

    height: PositiveInt
    width: PositiveInt

    def __str__(self) -> str:
        return f"{self.height}x{self.width}"


class Extra2d(_PerAxis):
    """Rows and columns added at the end of a map; `1` means both."""

    height: NonNegativeInt = 0
    width: NonNegativeInt = 0


class Padding(_PerAxis):
    """Elements added on each side of a map; `2` means all four, a side left out is 0."""

    top: NonNegativeInt = 0
    left: NonNegativeInt = 0
    bottom: NonNegativeInt = 0
    right: NonNegativeInt = 0

    @property
    def symmetric(self) -> bool:
        """Whether top equals bottom and left equals right."""
        return self.top == self.bottom and self.left == self.right

    @property
    def sides(self) -> tuple[int, int, int, int]:
        """(top, left, bottom, right)."""
        return (self.top, self.left, self.bottom, self.right)

    def __bool__(self) -> bool:
        return any(self.sides)

    def __add__(self, other: "Padding") -> "Padding":
        return padding_of([a + b for a, b in zip(self.sides, other.sides, strict=True)])

    def __str__(self) -> str:
        return f"(top {self.top}, left {self.left}, bottom {self.bottom}, right {self.right})"


def padding_of(sides: list[int] | tuple[int, ...]) -> Padding:
    """The padding with these (top, left, bottom, right)."""
    top, left, bottom, right = sides
    return Padding(top=top, left=left, bottom=bottom, right=right)


NO_PADDING = padding_of((0, 0, 0, 0))


class Same(Attribute):
    """Padding that is computed from the size of the map, by a named rule.

    `tf`: the output is ceil(size / stride), an odd element goes to the end (TensorFlow, ONNX SAME_UPPER).
    `lower`: the same total, an odd element goes to the start (ONNX SAME_LOWER).
    `torch`: stride 1 only, dilation * (kernel - 1) in all, an odd element goes to the end.
    """

    same: Literal["tf", "lower", "torch"]


def _padding_tag(value: Any) -> str:
    is_same = isinstance(value, Same) or (isinstance(value, dict) and "same" in value)
    return "same" if is_same else "sides"


AnyPadding = Annotated[Annotated[Padding, Tag("sides")] | Annotated[Same, Tag("same")], Discriminator(_padding_tag)]


def both(value: int) -> Size2d:
    """The square size."""
    return Size2d(height=value, width=value)


def extent(kernel: int, dilation: int) -> int:
    """How far a dilated kernel reaches: dilation * (kernel - 1) + 1."""
    return dilation * (kernel - 1) + 1


def resolve_padding(
    padding: Padding | Same, size: tuple[int, int], kernel: Size2d, stride: Size2d, dilation: Size2d
) -> Padding:
    """Explicit padding for a (height, width) by the named rule of `Same`.

    Raises:
        ShapeError: the torch rule with a stride.
    """
    if isinstance(padding, Padding):
        return padding
    if padding.same == "torch" and (stride.height, stride.width) != (1, 1):
        raise ShapeError(
            f"`same: torch` is defined for stride 1 only, got stride {stride}",
            "write `same: tf`, or the padding of each side",
            "padding",
        )
    starts, ends = [], []
    for length, k, s, d in zip(size, _hw(kernel), _hw(stride), _hw(dilation), strict=True):
        total = max(0, (-(-length // s) - 1) * s + extent(k, d) - length)
        less, more = total // 2, total - total // 2
        start, end = (more, less) if padding.same == "lower" else (less, more)
        starts.append(start)
        ends.append(end)
    return padding_of((*starts, *ends))


def _hw(size: Size2d) -> tuple[int, int]:
    return (size.height, size.width)


def slide(length: int, kernel: int, stride: int, before: int, after: int, round: Rounding, dilation: int = 1) -> int:
    """Number of positions of a window along one axis, or 0 when it does not fit.

    `ceil` admits a last window that hangs over the end, unless it would begin past the input and the
    padding before it (PyTorch Pool.h, ONNX MaxPool).
    """
    room = length + before + after - extent(kernel, dilation)
    if room < 0:
        return 0
    if round == "floor":
        return room // stride + 1
    count = -(-room // stride) + 1
    return count - 1 if (count - 1) * stride >= length + before else count
