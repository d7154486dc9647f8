"""What an op is: attributes, a shape rule, weights, a meaning in NumPy, and samples that reach its corners."""

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Self, TypeAlias

from pydantic import ConfigDict, Field

from netspec.errors import ShapeError
from netspec.ops.attributes import Attribute
from netspec.ops.initializers import Initializer, constant
from netspec.types import TensorType

if TYPE_CHECKING:  # a spec is checked without a use of NumPy, which commands that only check do not load
    import numpy as np
    from numpy.typing import NDArray

Array: TypeAlias = "NDArray[np.floating]"
Weights: TypeAlias = "Mapping[str, Array]"


class Weight(NamedTuple):
    """One array that an op owns, in canonical (channels-first) layout.

    Attributes:
        shape: its axes; no batch.
        initializer: what it starts as when the spec says nothing.
        fan_in, fan_out: what variance scaling counts; 0 where it makes no sense.
        trainable: False for running statistics.
    """

    shape: tuple[int, ...]
    initializer: Initializer
    fan_in: int = 0
    fan_out: int = 0
    trainable: bool = True

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


class Window(NamedTuple):
    """How one output position of an op reads its input: for the receptive field. Units: elements.

    A stride below 1 is that of an op whose output has more positions than its input; None is the ratio of the two.
    """

    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int | Fraction, int | Fraction] | None = (1, 1)


Domain: TypeAlias = Literal["any", "not_zero", "not_negative", "positive"]
"""Which numbers an input of a sample is drawn from. But for `any`, none is near 0 by chance."""


class Sample(NamedTuple):
    """An op with input shapes (without batch) on which every backend must agree with the reference.

    Attributes:
        op: the op, its attributes set.
        inputs: the features of each input, (C, H, W) or (C,).
        scale: standard deviation of the inputs.
        tolerance32: largest difference allowed in float32, as a share of the largest value.
        tolerance64: the same in float64.
        domains: which numbers each input is drawn from, where an op is not defined everywhere; empty is any.
    """

    op: "Op"
    inputs: tuple[tuple[int, ...], ...]
    scale: float = 1.0
    tolerance32: float = 1e-5
    tolerance64: float = 1e-12
    domains: tuple[Domain, ...] = ()


class TrainingResult(NamedTuple):
    """What an op gives in training: its output, and the new values of weights that are not trained."""

    output: Array
    updates: Weights = MappingProxyType({})


class Op(Attribute):
    """An operation of the language. Subclasses are frozen pydantic models of their attributes.

    `class Dense(Op, kind="dense")` names the op in specs; `inputs` is (least, most) number of inputs; `trap` is what
    usually went wrong where a framework's result differs.
    Shapes in `infer`, `weights` and `reference` are canonical: (N, C, H, W) for maps.
    """

    model_config = ConfigDict(ignored_types=(property,))

    kind: ClassVar[str] = ""
    inputs: ClassVar[tuple[int, int | None]] = (1, 1)
    trap: ClassVar[str] = ""

    def __init_subclass__(cls, kind: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if kind:
            cls.kind = kind

    # The shape-dependent methods take the inputs one by one in subclasses; `Any` is how that is declared.
    def resolve(self, *args: Any, **kwargs: Any) -> Self:
        """The op with its sugar replaced by facts, now that the input types are known (`same`, ceil)."""
        del args, kwargs
        return self

    def infer(self, *args: Any, **kwargs: Any) -> TensorType:
        """The output type for input types. Raises ShapeError with what to change."""
        raise NotImplementedError(self.kind)

    def weights(self, *args: Any, **kwargs: Any) -> dict[str, Weight]:
        """Weights by name, for input types."""
        del args, kwargs
        return {}

    def reference(self, weights: Weights, *args: Any, **kwargs: Any) -> Array:
        """The meaning at inference, on float64 arrays in canonical layout."""
        raise NotImplementedError(self.kind)

    def reference_training(self, weights: Weights, *inputs: Array, mask: "Array | None" = None) -> TrainingResult:
        """The meaning in training. `mask` (0 or 1, of the output's shape) is for ops that drop."""
        del mask
        return TrainingResult(self.reference(weights, *inputs))

    def padded(self, *args: Any, **kwargs: Any) -> tuple[int, ...]:
        """The features of the input with what is put around it, for input types; empty where nothing is."""
        del args, kwargs
        return ()

    def macs(self, *args: Any, **kwargs: Any) -> int:
        """Multiply-accumulate operations a sample, for input types."""
        del args, kwargs
        return 0

    def window(self) -> Window | None:
        """How an output position reads the input map; None when it reads all of it."""
        return Window()

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        """Ops and inputs that reach every corner."""
        raise NotImplementedError(cls.kind)


# Known to pydantic as class variables by now, they would be evaluated again for each subclass; it does the same with
# those of `BaseModel`.
Op.__annotations__.clear()


class WeightedOp(Op):
    """An op with weights: `initialize` overrides how they start, by weight name."""

    initialize: dict[str, Initializer] = Field(default_factory=dict)

    def with_initializers(self, weights: dict[str, Weight]) -> dict[str, Weight]:
        """The weights with the spec's initializers in place of the defaults.

        Raises:
            ShapeError: `initialize` names a weight that the op does not have.
        """
        for name in self.initialize:
            if name not in weights:
                raise ShapeError(
                    f"{self.kind} has no weight {name!r} to initialize; it has {', '.join(weights) or 'none'}",
                    attribute="initialize",
                )
        return {
            name: Weight(w.shape, self.initialize.get(name, w.initializer), w.fan_in, w.fan_out, w.trainable)
            for name, w in weights.items()
        }


def scale_and_shift(*shape: int) -> dict[str, Weight]:
    """What a normalization multiplies by and adds: one and zero at the beginning."""
    return {"weight": Weight(shape, constant(1.0)), "bias": Weight(shape, constant(0.0))}


def require_map(kind: str, x: TensorType) -> tuple[int, int, int]:
    """(C, H, W) of a map, or a ShapeError."""
    if x.rank != 4:
        raise ShapeError(f"{kind} expects a map (N, C, H, W), received {x}", _how_to_make_a_map(x))
    channels, height, width = x.features
    return channels, height, width


def _how_to_make_a_map(x: TensorType) -> str:
    match x.features:
        case (_,):
            return "place it before `flatten`"
        case (channels, length):
            return f"a sequence (N, C, L) is a map of one row: `reshape` with `shape: [{channels}, 1, {length}]`"
        case _:
            return ""


def require_channels(kind: str, x: TensorType, least_rank: int = 2) -> int:
    """The size of axis 1, or a ShapeError."""
    if x.rank < least_rank:
        axes = "(N, C)" if least_rank == 2 else "(N, C, …)"
        raise ShapeError(f"{kind} expects {axes}, received {x}")
    return x.features[0]


def require_groups(kind: str, groups: int, **counts: int) -> None:
    """ShapeError unless every count divides into the groups. `counts` by what they count."""
    for what, count in counts.items():
        require_even(kind, count, groups, what.replace("_", " "), "groups", "groups")


def require_even(kind: str, count: int, parts: int, what: str, into: str, attribute: str) -> None:
    """ShapeError unless a count divides into parts. `what` is counted; `into` is what the parts are called."""
    if count % parts:
        divisors = [d for d in range(1, min(count, 64) + 1) if count % d == 0]
        raise ShapeError(
            f"{kind} cannot split {count} {what} into {parts} {into} evenly",
            f"{count} divides by {', '.join(map(str, divisors))}",
            attribute,
        )


def resolve_axes(kind: str, axes: Sequence[int], x: TensorType) -> tuple[int, ...]:
    """Non-negative axes after the batch, in the tensor's order, or a ShapeError; none is named twice."""
    resolved = sorted(resolve_axis(kind, axis, x, "axes") for axis in axes)
    if len(set(resolved)) < len(resolved):
        raise ShapeError(f"{kind}: axes {list(axes)} of {x} name one twice", attribute="axes")
    return tuple(resolved)


def resolve_axis(kind: str, axis: int, x: TensorType, attribute: str = "axis") -> int:
    """A non-negative axis after the batch, or a ShapeError."""
    resolved = axis + x.rank if axis < 0 else axis
    if not 1 <= resolved < x.rank:
        raise ShapeError(
            f"{kind}: axis {axis} is not an axis of {x} after the batch",
            f"axes 1 to {x.rank - 1}, or -1 for the last",
            attribute,
        )
    return resolved
