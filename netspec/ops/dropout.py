"""Dropout, in the two scalings that are in use, and of samples whole."""

from typing import Annotated, Literal

from pydantic import Field

from netspec.errors import NetspecError
from netspec.ops.activation import Elementwise
from netspec.ops.base import Array, Sample, TrainingResult, Weights
from netspec.types import TensorType


class Dropping(Elementwise):
    """What is dropped in training by a mask of zeros and ones. Shapes: x → the same; `mask_features` has the mask's."""

    rate: Annotated[float, Field(ge=0, lt=1)]

    @property
    def training_scale(self) -> float:
        """What a kept element is multiplied by in training."""
        return 1.0 / (1.0 - self.rate)

    @property
    def inference_scale(self) -> float:
        """What every element is multiplied by at inference."""
        return 1.0

    @property
    def of_batch(self) -> bool:
        """Whether all samples of a batch are kept or dropped together."""
        return False

    def mask_features(self, x: TensorType) -> tuple[int, ...]:
        """The shape of a sample's mask: an element for each that is kept or dropped alone."""
        return x.features

    def reference(self, weights: Weights, x: Array) -> Array:
        return x * self.inference_scale

    def reference_training(self, weights: Weights, *inputs: Array, mask: "Array | None" = None) -> TrainingResult:
        if mask is None:
            raise NetspecError(f"{self.kind} in training needs a mask of zeros and ones")
        return TrainingResult(inputs[0] * mask * self.training_scale)


class Dropout(Dropping, kind="dropout"):
    """Each element is dropped with probability `rate` in training.

    `inverted`: what is kept is divided by 1 − rate in training; at inference nothing happens.
    `standard`: what is kept stays as it is in training; at inference all is multiplied by 1 − rate.

    Shapes: x → the same. Source: Krizhevsky et al. 2012, section 4.2 (`standard`).
    """

    trap = "the other scaling: by 1 - rate at inference (standard), or by 1 / (1 - rate) in training"

    mode: Literal["inverted", "standard"] = "inverted"

    @property
    def training_scale(self) -> float:
        return 1.0 / (1.0 - self.rate) if self.mode == "inverted" else 1.0

    @property
    def inference_scale(self) -> float:
        return 1.0 if self.mode == "inverted" else 1.0 - self.rate

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls(rate=0.5), ((3, 4, 5),)),
            Sample(cls(rate=0.4, mode="standard"), ((6,),)),
            Sample(cls(rate=0.25, mode="standard"), ((2, 3, 4),)),
            Sample(cls(rate=0.0), ((4,),)),
            Sample(cls(rate=0.5), ((),)),
        )


class StochasticDepth(Dropping, kind="stochastic_depth"):
    """Each sample is dropped whole with probability `rate` in training, or the batch is (`mode: batch`).

    What is kept is divided by 1 − rate in training; at inference nothing happens. On the branch of a residual block it
    leaves the block out. A mask has a number a sample, the same one for all in mode `batch`.

    Shapes: x → the same; mask (N, 1, …).

    Source: Huang et al. 2016, section 3, where the batch is dropped, and scaled at inference instead; `row` and the
    scale in training are from Tan & Le 2019 (EfficientNet) and torchvision.
    """

    trap = "elements dropped one by one, or what is kept not divided by 1 - rate"

    mode: Literal["row", "batch"] = "row"

    @property
    def of_batch(self) -> bool:
        return self.mode == "batch"

    def mask_features(self, x: TensorType) -> tuple[int, ...]:
        return (1,) * (x.rank - 1)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls(rate=0.5), ((3, 4, 5),)),
            Sample(cls(rate=0.2, mode="batch"), ((2, 3, 4),)),
            Sample(cls(rate=0.25), ((6,),)),
            Sample(cls(rate=0.3), ((4, 5),)),
            Sample(cls(rate=0.0), ((4,),)),
            Sample(cls(rate=0.5), ((),)),
        )
