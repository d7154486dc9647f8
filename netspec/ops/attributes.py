"""Types of op attributes, such as sizes and padding, and the number of positions of a sliding window."""

from typing import Annotated, Any, ClassVar, Literal

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
    """Base class of the models in a spec: frozen, strict, without unknown keys."""

    # Creating these classes, some seventy of them, takes most of the time of a check. So validators are built on first
    # use, and modules that define attributes do not use `from __future__ import annotations`: pydantic would compile
    # each annotation from its text, and those of a base class again for every subclass.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, defer_build=True)


class PerAxis(Attribute):
    """A mapping by axis or side, which may also be written as one number for all of them."""

    number: ClassVar[tuple[type, ...]] = (int,)

    @model_validator(mode="before")
    @classmethod
    def _spread(cls, value: Any) -> Any:
        if isinstance(value, cls.number) and not isinstance(value, bool):
            return dict.fromkeys(cls.model_fields, value)
        return value

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        mapping = handler.resolve_ref_schema(handler(core))
        axis = next(iter(mapping["properties"].values()))
        limits = {k: axis[k] for k in ("minimum", "exclusiveMinimum") if k in axis}
        return {"anyOf": [{"type": axis["type"], **limits}, mapping]}


class Size2d(PerAxis):
    """A height and a width; `3` means both."""

    height: PositiveInt
    width: PositiveInt

    def __str__(self) -> str:
        return f"{self.height}x{self.width}"


class Scale2d(PerAxis):
    """Factors of the height and the width; `2` means both."""

    number = (int, float)

    height: PositiveFloat = 1.0
    width: PositiveFloat = 1.0

    def __str__(self) -> str:
        return f"{self.height:g}" if self.height == self.width else f"{self.height:g}x{self.width:g}"


class Extra2d(PerAxis):
    """Numbers of rows and columns added at the end of a map; `1` means one of each."""

    height: NonNegativeInt = 0
    width: NonNegativeInt = 0


class Padding(PerAxis):
    """Number of elements added on each side of a map; `2` sets all four sides, and an omitted side is 0."""

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
    """Padding computed from the size of the map by a named rule.

    `tf`: the output size is ceil(size / stride); an odd element goes to the end (TensorFlow, ONNX SAME_UPPER).
    `lower`: the same total; an odd element goes to the start (ONNX SAME_LOWER).
    `torch`: stride 1 only; dilation * (kernel - 1) in total, an odd element goes to the end.
    """

    same: Literal["tf", "lower", "torch"]


def _padding_tag(value: Any) -> str:
    is_same = isinstance(value, Same) or (isinstance(value, dict) and "same" in value)
    return "same" if is_same else "sides"


AnyPadding = Annotated[Annotated[Padding, Tag("sides")] | Annotated[Same, Tag("same")], Discriminator(_padding_tag)]


def both(value: int) -> Size2d:
    """The size with this height and width."""
    return Size2d(height=value, width=value)


def extent(kernel: int, dilation: int) -> int:
    """The length of a dilated kernel: dilation * (kernel - 1) + 1."""
    return dilation * (kernel - 1) + 1


def resolve_padding(
    padding: Padding | Same, size: tuple[int, int], kernel: Size2d, stride: Size2d, dilation: Size2d
) -> Padding:
    """Return the explicit padding for a map of `size`, (height, width).

    Raises:
        ShapeError: the rule `torch` with a stride above 1.
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
    """Return the number of positions of a window along one axis; 0 if it does not fit.

    `ceil` admits a last window that extends past the end, unless it would begin in the padding after the input or
    beyond (PyTorch Pool.h, ONNX MaxPool).
    """
    slack = length + before + after - extent(kernel, dilation)
    if slack < 0:
        return 0
    if round == "floor":
        return slack // stride + 1
    count = -(-slack // stride) + 1
    return count - 1 if (count - 1) * stride >= length + before else count
