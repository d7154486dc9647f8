"""Initializers of weights: a constant, a list of values, or a distribution with explicit parameters and truncation."""

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    GetJsonSchemaHandler,
    Tag,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from netspec.arrays import np
from netspec.ops.attributes import Attribute, PositiveFloat

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Standard deviation of N(0, 1) truncated at two standard deviations. Samples are divided by it, so that the requested
# variance is the variance after truncation (as in Keras VarianceScaling).
TRUNCATED_STD = 0.87962566103423978


class Distribution(Attribute):
    """Base class of initializers and their parameters.

    Their validators are built with the classes: those of all ops with weights share them.
    """

    model_config = ConfigDict(defer_build=False)


class Constant(Distribution):
    """The same number for every element; written as the number itself."""

    constant: float

    @model_validator(mode="before")
    @classmethod
    def _bare(cls, value: Any) -> Any:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return {"constant": value} if is_number else value

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        del core, handler
        return {"type": "number"}


def _numbers(value: Any) -> Any:
    """A number as a float, and lists as tuples of them.

    Raises:
        ValueError: an item is neither.
    """
    if isinstance(value, list | tuple):
        return tuple(map(_numbers, value))
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        received = {True: "true", False: "false", None: "null"}[value] if value in (True, False, None) else repr(value)
        raise ValueError(f"expected a number, or a list of numbers, received {received}")
    return float(value)


def _shape(values: Any) -> tuple[int, ...]:
    """The shape of nested tuples.

    Raises:
        ValueError: they are not rectangular, or one is empty.
    """
    if not isinstance(values, tuple):
        return ()
    shapes = list(dict.fromkeys(map(_shape, values)))
    if len(shapes) != 1:
        received = " and ".join(f"a list of shape {list(shape)}" if shape else "a number" for shape in shapes)
        raise ValueError(f"expected items of one shape, received {received or 'an empty list'}")
    return (len(values), *shapes[0])


_ITEM: Final[JsonSchemaValue] = {"anyOf": [{"type": "number"}, {"type": "array"}]}


Numbers = tuple[Annotated[Any, BeforeValidator(_numbers), WithJsonSchema(_ITEM)], ...]


class Values(Distribution):
    """The values themselves, in nested lists: a kernel, a table.

    Their shape is the weight's, or broadcasts to it from the last axis on, as in NumPy: one 3x3 kernel is used for each
    filter and channel of a convolution.
    """

    values: Numbers = Field(strict=False, min_length=1)

    @model_validator(mode="after")
    def _rectangular(self) -> Self:
        _shape(self.values)
        return self

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the values."""
        return _shape(self.values)

    def broadcasts_to(self, shape: tuple[int, ...]) -> bool:
        """Whether the values broadcast to a weight of this shape."""
        own = self.shape
        return len(own) <= len(shape) and all(a in (1, b) for a, b in zip(own[::-1], shape[::-1], strict=False))


class NormalParameters(Distribution):
    """Mean and standard deviation."""

    mean: float = 0.0
    std: PositiveFloat


class Normal(Distribution):
    """N(mean, std), not truncated."""

    normal: NormalParameters


class TruncatedNormalParameters(NormalParameters):
    """Mean and standard deviation before truncation, and the bound `cut`. Units of `cut`: standard deviations."""

    # Values are redrawn until all are within the bound, which takes forever for a tiny one.
    cut: Annotated[float, Field(ge=0.1)] = 2.0


class TruncatedNormal(Distribution):
    """N(mean, std), where values more than `cut` standard deviations from the mean are redrawn."""

    truncated_normal: TruncatedNormalParameters


class UniformParameters(Distribution):
    """The interval [low, high)."""

    low: float
    high: float

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"expected low < high, received low {self.low} and high {self.high}")
        return self


class Uniform(Distribution):
    """The uniform distribution on [low, high)."""

    uniform: UniformParameters


class VarianceScalingParameters(Distribution):
    """Variance = scale / fan. He: scale 2, fan in. Glorot: scale 1, fan average. LeCun: scale 1, fan in."""

    scale: PositiveFloat = 1.0
    fan: Literal["in", "out", "average"] = "in"
    distribution: Literal["normal", "truncated_normal", "uniform"] = "normal"


class VarianceScaling(Distribution):
    """A distribution of mean 0 and variance scale / fan, after any truncation (at two standard deviations)."""

    variance_scaling: VarianceScalingParameters


def _tag(value: Any) -> str | None:
    if isinstance(value, Attribute):
        return next(iter(type(value).model_fields))
    if isinstance(value, dict) and len(value) == 1:
        return str(next(iter(value)))
    return "constant" if isinstance(value, int | float) else None


Initializer = Annotated[
    Annotated[Constant, Tag("constant")]
    | Annotated[Values, Tag("values")]
    | Annotated[Normal, Tag("normal")]
    | Annotated[TruncatedNormal, Tag("truncated_normal")]
    | Annotated[Uniform, Tag("uniform")]
    | Annotated[VarianceScaling, Tag("variance_scaling")],
    Discriminator(
        _tag,
        custom_error_type="initializer",
        custom_error_message="expected a number, `values` with a list, or one of normal, truncated_normal, uniform, "
        "variance_scaling with its parameters",
    ),
    Field(description="a number, values in nested lists, or one distribution with its parameters"),
]

# A distribution that needs no weight: neither fans nor a shape of its own.
Noise = Annotated[
    Annotated[Normal, Tag("normal")]
    | Annotated[TruncatedNormal, Tag("truncated_normal")]
    | Annotated[Uniform, Tag("uniform")],
    Discriminator(
        _tag,
        custom_error_type="noise",
        custom_error_message="expected one of normal, truncated_normal, uniform with its parameters",
    ),
    Field(description="one distribution with its parameters"),
]


# Initializers are frozen, and ops describe their weights often: those of a kind are one object.
@lru_cache
def constant(value: float) -> Constant:
    """The initializer that sets every element to `value`."""
    return Constant(constant=value)


@lru_cache
def normal(std: float) -> Normal:
    """The initializer N(0, std)."""
    return Normal(normal=NormalParameters(std=std))


@lru_cache
def he() -> VarianceScaling:
    """The initializer of He et al. 2015, of variance 2 / fan in, for layers followed by a ReLU."""
    return VarianceScaling(variance_scaling=VarianceScalingParameters(scale=2.0))


@lru_cache
def glorot() -> VarianceScaling:
    """The uniform initializer of Glorot & Bengio 2010, of variance 1 / average fan."""
    return VarianceScaling(variance_scaling=VarianceScalingParameters(fan="average", distribution="uniform"))


def draw(
    initializer: Initializer,
    shape: tuple[int, ...],
    fan_in: int,
    fan_out: int,
    random: "np.random.Generator",
) -> "NDArray[np.float32]":
    """Draw a float32 array of this shape from the initializer."""
    match initializer:
        case Constant(constant=value):
            return np.full(shape, value, np.float32)
        case Values(values=values):
            return np.broadcast_to(np.array(values, np.float32), shape).copy()
        case Normal(normal=p):
            return _normal(random, shape, p.mean, p.std)
        case TruncatedNormal(truncated_normal=p):
            return _truncated(random, shape, p.mean, p.std, p.cut)
        case Uniform(uniform=p):
            return _uniform(random, shape, p.low, p.high)
        case VarianceScaling(variance_scaling=p):
            fan = {"in": fan_in, "out": fan_out, "average": (fan_in + fan_out) / 2}[p.fan]
            std = float(np.sqrt(p.scale / fan))
            if p.distribution == "uniform":
                limit = float(np.sqrt(3.0)) * std
                return _uniform(random, shape, -limit, limit)
            if p.distribution == "truncated_normal":
                return _truncated(random, shape, 0.0, std / TRUNCATED_STD, 2.0)
            return _normal(random, shape, 0.0, std)


def _normal(random: "np.random.Generator", shape: tuple[int, ...], mean: float, std: float) -> "NDArray[np.float32]":
    values = random.standard_normal(shape, dtype=np.float32)
    values *= np.float32(std)
    if mean:
        values += np.float32(mean)
    return values


def _uniform(random: "np.random.Generator", shape: tuple[int, ...], low: float, high: float) -> "NDArray[np.float32]":
    values = random.random(shape, dtype=np.float32)
    values *= np.float32(high - low)
    values += np.float32(low)
    return values


def _truncated(
    random: "np.random.Generator", shape: tuple[int, ...], mean: float, std: float, cut: float
) -> "NDArray[np.float32]":
    values = random.standard_normal(shape, dtype=np.float32)
    while (outside := np.abs(values) > cut).any():
        values[outside] = random.standard_normal(int(outside.sum()), dtype=np.float32)
    return values * np.float32(std) + np.float32(mean)
