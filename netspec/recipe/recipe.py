"""The recipe whole, and its loss."""

from fnmatch import fnmatchcase
from typing import Literal, Self

from pydantic import Field, model_validator

from netspec.ops.attributes import Attribute, NonNegativeInt, PositiveFloat, PositiveInt
from netspec.recipe.augmentation import Augmentation, Evaluation
from netspec.recipe.bounds import BelowOne, require_one
from netspec.recipe.optimizer import Optimizer, WeightAverage, WeightOverride
from netspec.recipe.schedule import ConstantSchedule, Schedule, Warmup


class SoftmaxCrossEntropy(Attribute):
    """Cross-entropy of the softmax of the logits, the mean over the batch.

    `label_smoothing` e gives every class e / classes of the target, and the true one 1 - e more (Szegedy et al. 2016,
    section 7). `auxiliary` adds that loss of each auxiliary output, times the weight that stands after its name.
    """

    name: Literal["softmax_cross_entropy"]
    label_smoothing: BelowOne = 0.0
    auxiliary: dict[str, PositiveFloat] = Field(default_factory=dict)


class Recipe(Attribute):
    """Everything that decides the weights at the end, but for the network and the data.

    Attributes:
        overrides: by pattern of a weight's name (`*.bias`), the last that fits is taken.
        clip_gradient_norm: the norm that all gradients together are scaled down to.
        accumulate: batches whose gradients are averaged into one optimizer step.
    """

    # Defaults by factories: one made here would build its validator on import.
    seed: NonNegativeInt = 0
    loss: SoftmaxCrossEntropy = Field(default_factory=lambda: SoftmaxCrossEntropy(name="softmax_cross_entropy"))
    batch_size: PositiveInt
    epochs: PositiveInt | None = None
    steps: PositiveInt | None = None
    last_batch: Literal["drop", "keep"] = "drop"
    optimizer: Optimizer
    overrides: dict[str, WeightOverride] = Field(default_factory=dict)
    clip_gradient_norm: PositiveFloat | None = None
    weight_average: WeightAverage | None = None
    accumulate: PositiveInt = 1
    schedule: Schedule = Field(default_factory=lambda: ConstantSchedule(name="constant"))
    warmup: Warmup | None = None
    augmentation: Augmentation = Field(default_factory=Augmentation)
    evaluation: Evaluation = Field(default_factory=Evaluation)

    @model_validator(mode="after")
    def _has_one_length(self) -> Self:
        require_one(epochs=self.epochs, steps=self.steps)
        return self

    @model_validator(mode="after")
    def _has_partners(self) -> Self:
        mixing = self.augmentation.mixing.asked
        if mixing and self.batch_size * self.accumulate == 1:
            raise ValueError(
                f"`{'`, `'.join(mixing)}` takes another sample of the step: expected a `batch_size` or `accumulate`"
                " above 1"
            )
        return self

    def override_of(self, weight: str) -> WeightOverride:
        """What a weight does differently, by its canonical name: the last pattern that fits it."""
        found = [override for pattern, override in self.overrides.items() if fnmatchcase(weight, pattern)]
        return found[-1] if found else WeightOverride()
