"""Dropout, in the two scalings that are in use."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from netspec.errors import NetspecError
from netspec.ops.activation import Elementwise
from netspec.ops.base import Array, Sample, TrainingResult, Weights


class Dropout(Elementwise, kind="dropout"):
    """Each element is dropped with probability `rate` in training.

    `inverted`: what is kept is divided by 1 − rate in training; at inference nothing happens.
    `standard`: what is kept stays as it is in training; at inference all is multiplied by 1 − rate.

    Shapes: x → the same. Source: Krizhevsky et al. 2012, section 4.2 (`standard`).
    """

    trap: ClassVar[str] = "the other scaling: by 1 - rate at inference (standard), or by 1 / (1 - rate) in training"

    rate: Annotated[float, Field(ge=0, lt=1)]
    mode: Literal["inverted", "standard"] = "inverted"

    @property
    def training_scale(self) -> float:
        """What a kept element is multiplied by in training."""
        return 1.0 / (1.0 - self.rate) if self.mode == "inverted" else 1.0

    @property
    def inference_scale(self) -> float:
        """What every element is multiplied by at inference."""
        return 1.0 if self.mode == "inverted" else 1.0 - self.rate

    def reference(self, weights: Weights, x: Array) -> Array:
        return x * self.inference_scale

    def reference_training(self, weights: Weights, *inputs: Array, mask: "Array | None" = None) -> TrainingResult:
        if mask is None:
            raise NetspecError("dropout in training needs a mask of zeros and ones of its input's shape")
        return TrainingResult(inputs[0] * mask * self.training_scale)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls(rate=0.5), ((3, 4, 5),)),
            Sample(cls(rate=0.4, mode="standard"), ((6,),)),
            Sample(cls(rate=0.25, mode="standard"), ((2, 3, 4),)),
            Sample(cls(rate=0.0), ((4,),)),
        )
