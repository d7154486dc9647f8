"""A value that is learned and not computed."""

from pydantic import Field

from netspec.ops.attributes import PositiveInt
from netspec.ops.base import Array, Sample, Weight, WeightedOp, Weights, Window
from netspec.ops.initializers import normal
from netspec.types import TensorType


class Parameter(WeightedOp, kind="parameter"):
    """A weight as a value, the same for every sample: a class token, positions to add to tokens. It reads nothing.

    It starts as N(0, 0.02) unless `initialize` says otherwise.

    Shapes:
        (N, *shape); weight (*shape). The meaning has it once, as (1, *shape).

    Source: Devlin et al. 2018 and Dosovitskiy et al. 2020, for what it is used for.
    """

    inputs = (0, 0)

    shape: tuple[PositiveInt, ...] = Field(strict=False, min_length=1)

    def infer(self) -> TensorType:
        return TensorType.of(*self.shape)

    def weights(self) -> dict[str, Weight]:
        return {"weight": Weight(self.shape, normal(0.02))}

    def reference(self, weights: Weights) -> Array:
        return weights["weight"][None]

    def window(self) -> Window:
        return Window()

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        batch = ((2,),)  # of an input of which it reads only the number of samples
        return (
            Sample(cls(shape=(5,)), batch),
            Sample(cls(shape=(1, 4)), batch),
            Sample(cls(shape=(3, 4, 5)), batch),
        )
