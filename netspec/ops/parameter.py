"""A learned value that does not depend on the input."""

from pydantic import Field

from netspec.ops.attributes import PositiveInt
from netspec.ops.base import Array, Sample, Weight, WeightedOp, Weights, Window
from netspec.ops.initializers import Values, normal
from netspec.types import TensorType


class Parameter(WeightedOp, kind="parameter"):
    """A weight as a value, the same for every sample, such as a class token or a position embedding. It has no inputs.

    The default initializer is N(0, 0.02).

    Shapes:
        (N, *shape); weight (*shape). The reference returns it once, as (1, *shape).

    Source: Devlin et al. 2018 and Dosovitskiy et al. 2020 for its use.
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
        batch = ((2,),)  # an input of the test, which gives the number of samples only
        return (
            Sample(cls(shape=(5,)), batch),
            Sample(cls(shape=(1, 4)), batch),
            Sample(cls(shape=(3, 4, 5)), batch),
            Sample(cls(shape=(2, 3, 1, 4)), batch),
            Sample(
                cls(shape=(3, 2), initialize={"weight": Values(values=((1.0, 2.0), (3.0, 4.0), (5.0, 6.0)))}), batch
            ),
            Sample(cls(shape=(2, 3, 4), initialize={"weight": Values(values=((0.5,), (1.0,), (2.0,)))}), batch),
        )
