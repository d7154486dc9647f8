"""Values that do not depend on the input: learned, or stated in the spec."""

from collections.abc import Sequence
from typing import Self

from pydantic import Field, model_validator

from netspec.ops.attributes import PositiveInt
from netspec.ops.base import Array, Curvature, Op, Sample, Weight, WeightedOp, Weights, Window
from netspec.ops.initializers import Numbers, Values, normal
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

    def curvature(self, weights: Weights, inputs: Sequence[Array], output: Array, h: Array) -> Curvature:
        return Curvature((), {"weight": h.sum(axis=0)})

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


class ConstantTensor(Op, kind="constant"):
    """The `values` of the spec, the same for every sample and never trained: nested lists, as an array has them.

    They are for fixed codes, filters (as an operand of `matmul`), coordinates (CoordConv) and sinusoids. It has no
    inputs. Files of weights hold the values, as they hold running statistics, and are refused if theirs are others.

    Shapes:
        (N, *shape of the values). The reference returns them once, as (1, *shape).

    Source: LeCun et al. 1998, section II.B, the codes of LeNet-5's output units.
    """

    inputs = (0, 0)
    trap = "values trained with the weights, or axes in another order: channels are last in Keras"

    values: Numbers = Field(strict=False, min_length=1)

    @model_validator(mode="after")
    def _rectangular(self) -> Self:
        _ = self.as_initializer
        return self

    @property
    def as_initializer(self) -> Values:
        """The values, as weights begin with them."""
        return Values(values=self.values)

    def infer(self) -> TensorType:
        return TensorType.of(*self.as_initializer.shape)

    def weights(self) -> dict[str, Weight]:
        values = self.as_initializer
        return {"values": Weight(values.shape, values, trainable=False, fixed=True)}

    def reference(self, weights: Weights) -> Array:
        return weights["values"][None]

    def curvature(self, weights: Weights, inputs: Sequence[Array], output: Array, h: Array) -> Curvature:
        return Curvature(())

    def window(self) -> Window:
        return Window()

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        batch = ((2,),)  # an input of the test, which gives the number of samples only
        row = (1.0, -0.5, 0.25)
        return (
            Sample(cls(values=row), batch),
            Sample(cls(values=(row, (2.0, 0.0, 3.0))), batch),
            Sample(cls(values=((row,), ((0.0, 4.0, -1.0),))), batch),
            Sample(cls(values=(((row, row), ((5.0, 6.0, 7.0), row)),)), batch),
        )
