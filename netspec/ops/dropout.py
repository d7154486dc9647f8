"""Dropout in its two common scalings, and stochastic depth."""

from typing import Annotated, Literal

from pydantic import Field

from netspec.arrays import np
from netspec.errors import NetspecError
from netspec.ops.activation import Elementwise
from netspec.ops.base import Array, Sample, TrainingResult, Weights
from netspec.types import TensorType


class Dropping(Elementwise):
    """Base class of ops that multiply by a mask of zeros and ones in training. Shapes: x → the same."""

    rate: Annotated[float, Field(ge=0, lt=1)]

    @property
    def training_scale(self) -> float:
        """The factor of each kept element in training."""
        return 1.0 / (1.0 - self.rate)

    @property
    def inference_scale(self) -> float:
        """The factor of every element at inference."""
        return 1.0

    @property
    def whole_batch(self) -> bool:
        """Whether all samples of a batch are kept or dropped together."""
        return False

    def mask_features(self, x: TensorType) -> tuple[int, ...]:
        """Return the shape of the mask without the batch; it is multiplied with the input by broadcasting."""
        return x.features

    def reference(self, weights: Weights, x: Array) -> Array:
        return x * self.inference_scale

    def slope(self, x: Array) -> Array:
        return np.full(x.shape, self.inference_scale)

    def reference_training(self, weights: Weights, *inputs: Array, mask: "Array | None" = None) -> TrainingResult:
        if mask is None:
            raise NetspecError(f"{self.kind} in training needs a mask of zeros and ones")
        return TrainingResult(inputs[0] * mask * self.training_scale)


class Dropout(Dropping, kind="dropout"):
    """Sets each element to 0 with probability `rate` in training.

    `mode: inverted` divides the kept elements by 1 − rate in training, and is the identity at inference.
    `mode: standard` does not scale the kept elements in training, and multiplies all by 1 − rate at inference.

    Shapes: x → the same. Source: Krizhevsky et al. 2012, section 4.2 (`standard`).
    """

    trap = "the other scaling: by 1 - rate at inference (standard), or by 1 / (1 - rate) in training (inverted)"

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
    """Sets each sample, or with `mode: batch` the whole batch, to 0 with probability `rate` in training.

    On the branch of a residual block this skips the block. Kept samples are divided by 1 − rate in training; at
    inference it is the identity. The mask has one number per sample, which is the same for all samples in mode `batch`.

    Shapes: x → the same; mask (N, 1, …).

    Source: Huang et al. 2016, section 3, which drops batches and scales at inference instead; `row` and the scaling in
    training are from Tan & Le 2019 (EfficientNet) and torchvision.
    """

    trap = "single elements dropped in place of whole samples, or kept samples not divided by 1 - rate"

    mode: Literal["row", "batch"] = "row"

    @property
    def whole_batch(self) -> bool:
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
            Sample(cls(rate=0.3), ((2, 3, 4, 2),)),
            Sample(cls(rate=0.0), ((4,),)),
            Sample(cls(rate=0.5), ((),)),
        )
