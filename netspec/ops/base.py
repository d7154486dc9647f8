"""The base classes of ops. An op has attributes, a shape rule, weights, a NumPy reference and samples."""

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Self, TypeAlias

from pydantic import ConfigDict, Field

from netspec.errors import ShapeError
from netspec.ops.attributes import Attribute
from netspec.ops.initializers import Initializer, Values, VarianceScaling, constant
from netspec.types import TensorType

if TYPE_CHECKING:  # commands that only check a spec do not import NumPy
    import numpy as np
    from numpy.typing import NDArray

Array: TypeAlias = "NDArray[np.floating]"
Weights: TypeAlias = "Mapping[str, Array]"


class Weight(NamedTuple):
    """One weight array of an op, in canonical (channels-first) layout.

    Attributes:
        shape: the shape of the array, which has no batch axis.
        initializer: the initializer; an op's default unless the spec sets another.
        fan_in, fan_out: the fans for variance scaling; 0 for a weight that has none.
        trainable: False for running statistics, and for a weight that is `fixed`.
        fixed: whether it always has its initial values: those of a `constant`.
    """

    shape: tuple[int, ...]
    initializer: Initializer
    fan_in: int = 0
    fan_out: int = 0
    trainable: bool = True
    fixed: bool = False

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


class Window(NamedTuple):
    """The window of the input that one output position reads, for the receptive field. Units: elements.

    The stride is below 1 for an op that upsamples. None stands for the ratio of input positions to output positions.
    """

    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int | Fraction, int | Fraction] | None = (1, 1)


class Neighbors(NamedTuple):
    """The channels that an op reads for each channel: `before` and `after` it, in its group of `groups`."""

    groups: int
    before: int
    after: int


Domain: TypeAlias = Literal["any", "not_zero", "not_negative", "positive"]
"""The numbers that an input of a sample is drawn from. Except for `any`, none is close to 0 by chance."""


class Sample(NamedTuple):
    """A test case of an op, on which every backend must agree with the reference.

    Attributes:
        op: an instance of the op.
        inputs: the shape of each input without the batch, such as (C, H, W) or (C,).
        scale: the standard deviation of the inputs.
        tolerance32: the largest difference allowed in float32, relative to the largest value.
        tolerance64: the same in float64.
        domains: the domain of each input, for ops that are not defined everywhere; empty for any numbers.
    """

    op: "Op"
    inputs: tuple[tuple[int, ...], ...]
    scale: float = 1.0
    tolerance32: float = 1e-5
    tolerance64: float = 1e-12
    domains: tuple[Domain, ...] = ()


class TrainingResult(NamedTuple):
    """The result of an op in training: its output, and the new values of its running statistics."""

    output: Array
    updates: Weights = MappingProxyType({})


class Curvature(NamedTuple):
    """The second derivatives of a loss in what an op reads; see `Op.curvature`.

    Attributes:
        inputs: those of each input, for each sample. Shapes: those of the inputs.
        weights: those of each trainable weight, summed over the samples. Shapes: those of the weights.
    """

    inputs: tuple[Array, ...]
    weights: Weights = MappingProxyType({})


class Op(Attribute):
    """Base class of the language's operations. Subclasses are frozen pydantic models of an op's attributes.

    `class Dense(Op, kind="dense")` sets the op's name in specs. `infer`, `weights` and `reference` take and return
    canonical shapes, (N, C, H, W) for maps.

    Attributes:
        kind: the name of the op in specs.
        inputs: the least and the greatest number of inputs; None for no upper limit.
        trap: the usual mistake when a framework's result differs from the reference.
    """

    model_config = ConfigDict(ignored_types=(property,))

    kind: ClassVar[str] = ""
    inputs: ClassVar[tuple[int, int | None]] = (1, 1)
    trap: ClassVar[str] = ""

    def __init_subclass__(cls, kind: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if kind:
            cls.kind = kind

    # Subclasses take one argument for each input in the methods below, which `Any` allows.
    def resolve(self, *args: Any, **kwargs: Any) -> Self:
        """Return the op with its shorthands made explicit for these input types, such as `same` and negative axes."""
        del args, kwargs
        return self

    def infer(self, *args: Any, **kwargs: Any) -> TensorType:
        """Return the output type for these input types.

        Raises:
            ShapeError: the op does not accept them; the message says what to change.
        """
        raise NotImplementedError(self.kind)

    def weights(self, *args: Any, **kwargs: Any) -> dict[str, Weight]:
        """Return the weights by name, for these input types."""
        del args, kwargs
        return {}

    def reference(self, weights: Weights, *args: Any, **kwargs: Any) -> Array:
        """Compute the output at inference in NumPy, on float64 arrays in canonical layout."""
        raise NotImplementedError(self.kind)

    def reference_training(self, weights: Weights, *inputs: Array, mask: "Array | None" = None) -> TrainingResult:
        """Compute the result in training. Dropout ops need a `mask` of zeros and ones."""
        del mask
        return TrainingResult(self.reference(weights, *inputs))

    def curvature(self, weights: Weights, inputs: Sequence[Array], output: Array, h: Array) -> Curvature:
        """Take second derivatives of a loss in the output, h, to those in the inputs and the weights, at inference.

        Σ_i (∂y_i/∂x_j)² h_i, in float64: the diagonal of the Gauss-Newton matrix, without what is off it. An op that
        does not define it cannot be trained by `diagonal_levenberg_marquardt`. A value read twice counts as two inputs.

        Source: Becker & LeCun 1988; LeCun et al. 1998, appendix C.
        """
        raise NotImplementedError(self.kind)

    @classmethod
    def has_curvature(cls) -> bool:
        """Whether the op defines `curvature`."""
        return cls.curvature is not Op.curvature

    def padded(self, *args: Any, **kwargs: Any) -> tuple[int, ...]:
        """Return the shape of the padded input without the batch, for these input types; empty if nothing is padded."""
        del args, kwargs
        return ()

    def macs(self, *args: Any, **kwargs: Any) -> int:
        """Return the number of multiply-accumulate operations per sample, for these input types."""
        del args, kwargs
        return 0

    def window(self) -> Window | None:
        """Return the window of the input that one output position reads; None if it reads all of the input."""
        return Window()

    def separates(self, parts: int, axis: int) -> bool:
        """Whether each of `parts` equal shares of the output along an axis depends on that share of the inputs alone.

        Only an op with resolved shorthands can say. One that does not say mixes the shares.
        """
        del parts, axis
        return False

    def neighbors(self) -> Neighbors | None:
        """Return the neighboring channels that the op reads, if it mixes each channel with no others; else None."""
        return None

    def share(self, parts: int) -> Self:
        """Return the op that computes one of `parts` equal shares of the output's channels."""
        del parts
        return self

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        """Return test cases that cover every attribute and edge case."""
        raise NotImplementedError(cls.kind)


# pydantic has collected the class variables by now. Left in place, their annotations would be evaluated again for each
# subclass; pydantic clears those of `BaseModel` for the same reason.
Op.__annotations__.clear()


class WeightedOp(Op):
    """An op with weights. `initialize` overrides their default initializers, by weight name."""

    initialize: dict[str, Initializer] = Field(default_factory=dict)

    def with_initializers(self, weights: dict[str, Weight]) -> dict[str, Weight]:
        """Return the weights with the spec's initializers in place of the defaults.

        Raises:
            ShapeError: `initialize` names a weight that the op does not have, scales the variance of one that has no
                fan, or has values of another shape.
        """
        for name, initializer in self.initialize.items():
            if name not in weights:
                raise ShapeError(
                    f"{self.kind} has no weight {name!r} to initialize; it has {', '.join(weights) or 'none'}",
                    attribute="initialize",
                )
            if isinstance(initializer, VarianceScaling) and not weights[name].fan_in:
                raise ShapeError(
                    f"{self.kind}: variance_scaling divides by a fan, which {name!r} does not have",
                    "give a number, or the `std` of a `normal`",
                    attribute="initialize",
                )
            if isinstance(initializer, Values) and not initializer.broadcasts_to(weights[name].shape):
                raise ShapeError(
                    f"{self.kind}: values of shape {list(initializer.shape)} do not broadcast to its {name!r} of shape "
                    f"{list(weights[name].shape)}",
                    "the last axes are compared first; each is equal, or 1, or left out at the front",
                    "initialize",
                )
        return {
            name: weight._replace(initializer=self.initialize.get(name, weight.initializer))
            for name, weight in weights.items()
        }


class FilterOp(WeightedOp):
    """Base class of layers with a filter for each output channel, over all input channels or those of its group."""

    if TYPE_CHECKING:  # each layer has the attribute in an order of its own
        groups: int

    def separates(self, parts: int, axis: int) -> bool:
        return self.groups % parts == 0


def scale_and_shift(*shape: int) -> dict[str, Weight]:
    """The weight (initially 1) and bias (initially 0) that an affine normalization applies to its result."""
    return {"weight": Weight(shape, constant(1.0)), "bias": Weight(shape, constant(0.0))}


def require_map(kind: str, x: TensorType) -> tuple[int, int, int]:
    """Return (C, H, W) of a map; raise ShapeError for any other type."""
    if x.rank != 4:
        raise ShapeError(f"{kind} expects a map (N, C, H, W), received {x}", _hint_for_map(x))
    channels, height, width = x.features
    return channels, height, width


def _hint_for_map(x: TensorType) -> str:
    match x.features:
        case (_,):
            return "place it before `flatten`"
        case (channels, length):
            return f"a sequence (N, C, L) is a map of one row: `reshape` with `shape: [{channels}, 1, {length}]`"
        case _:
            return ""


def require_channels(kind: str, x: TensorType, least_rank: int = 2) -> int:
    """Return the size of axis 1; raise ShapeError for a type of fewer axes than `least_rank`."""
    if x.rank < least_rank:
        axes = "(N, C)" if least_rank == 2 else "(N, C, …)"
        raise ShapeError(f"{kind} expects {axes}, received {x}")
    return x.features[0]


def require_groups(kind: str, groups: int, **counts: int) -> None:
    """Raise ShapeError unless each of the `counts`, such as `filters=64`, is a multiple of `groups`."""
    for noun, count in counts.items():
        require_even(kind, count, groups, noun.replace("_", " "), "groups", "groups")


def require_even(kind: str, count: int, parts: int, noun: str, parts_noun: str, attribute: str) -> None:
    """Raise ShapeError unless `count` is a multiple of `parts`. The nouns name the two in the message."""
    if count % parts:
        divisors = [d for d in range(1, min(count, 64) + 1) if count % d == 0]
        raise ShapeError(
            f"{kind} cannot split {count} {noun} into {parts} {parts_noun} evenly",
            f"{count} divides by {', '.join(map(str, divisors))}",
            attribute,
        )


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
