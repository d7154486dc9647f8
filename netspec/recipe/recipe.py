"""The recipe, and its loss."""

from fnmatch import fnmatchcase
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from netspec.ops.attributes import Attribute, NonNegativeInt, PositiveFloat, PositiveInt
from netspec.ops.initializers import Noise
from netspec.recipe.augmentation import Augmentation, Evaluation
from netspec.recipe.bounds import BelowOne, require_one
from netspec.recipe.optimizer import Optimizer, WeightAverage, WeightOverride
from netspec.recipe.schedule import ConstantSchedule, Schedule, Warmup


class PixelWeights(Attribute):
    """Weights of the pixels in the loss: w_c + border · exp(−(d1 + d2)² / (2 · sigma²)).

    Attributes:
        balance: makes w_c inversely proportional to the number of pixels of class c in the training masks, and 1 on
            average over these pixels; without it, w_c is 1.
        border: the weight of narrow gaps in the background, class 0, where d1 and d2 are the distances to the two
            nearest connected regions of other classes.
        sigma: the scale of these distances. Units: pixels of the network's input.

    Source: Ronneberger et al. 2015, equation 2, with border 10 and sigma 5.
    """

    balance: bool = False
    border: PositiveFloat | None = None
    sigma: PositiveFloat = 5.0

    @model_validator(mode="after")
    def _weighs_something(self) -> Self:
        if not self.balance and self.border is None:
            raise ValueError("`pixel_weights` needs `balance: true`, a `border`, or both")
        return self


class SoftmaxCrossEntropy(Attribute):
    """Mean cross-entropy of the softmax of the logits over the batch, and for a map first over its pixels.

    Attributes:
        label_smoothing: e, with which the target of every class is e / classes, plus 1 - e for the true class (Szegedy
            et al. 2016, section 7).
        constant_logit: the logit of one more class, after those of the network: the same number for every sample, or
            pixel. With -j it is the "rubbish class" of LeCun et al. 1998, equation 9; with 0, the softmax over a single
            logit is its sigmoid, so that a network of one output tells two classes apart.
        auxiliary: the weight of the loss of each auxiliary output, by the output's name.
        pixel_weights: for networks whose output is a class for each pixel.
    """

    name: Literal["softmax_cross_entropy"]
    label_smoothing: BelowOne = 0.0
    constant_logit: float | None = None
    auxiliary: dict[str, PositiveFloat] = Field(default_factory=dict)
    pixel_weights: PixelWeights | None = None


class Adversarial(Attribute):
    """A generator's loss: how surely a discriminator, trained with it, takes its samples for generated ones.

    That is the mean of -log D(G(z)), where D is the discriminator's probability that its input is real (Goodfellow et
    al. 2014, section 3: it has the fixed point of log(1 - D(G(z))), and stronger gradients early in training).

    Attributes:
        discriminator: the path of the discriminator's spec, relative to this file: a classifier of two classes, real
            (0) and generated (1), with a recipe of its own.
        set: values of its parameters.
        noise: the distribution of z, the generator's input.
    """

    name: Literal["adversarial"]
    discriminator: str
    set: dict[str, bool | int | float | str] = Field(default_factory=dict)
    noise: Noise


Loss = Annotated[SoftmaxCrossEntropy | Adversarial, Field(discriminator="name")]


class Recipe(Attribute):
    """Everything that determines the final weights, apart from the network and the data.

    Attributes:
        overrides: by pattern of a weight's name, such as `*.bias`; the last matching pattern applies.
        clip_gradient_norm: the largest global norm of the gradients, to which they are scaled down.
        accumulate: the number of batches whose gradients are averaged into one optimizer step.
    """

    # Defaults are made by factories: a model made here would build its validator on import.
    seed: NonNegativeInt = 0
    loss: Loss = Field(default_factory=lambda: SoftmaxCrossEntropy(name="softmax_cross_entropy"))
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
        mixing = self.augmentation.needing_partner
        if mixing and self.batch_size * self.accumulate == 1:
            raise ValueError(
                f"`{'`, `'.join(mixing)}` takes another sample of the step: expected a `batch_size` or `accumulate`"
                " above 1"
            )
        return self

    @property
    def label_loss(self) -> SoftmaxCrossEntropy:
        """The loss of labelled samples: a generator, which has no labels, has nothing that changes it."""
        loss = self.loss
        return loss if isinstance(loss, SoftmaxCrossEntropy) else SoftmaxCrossEntropy(name="softmax_cross_entropy")

    @property
    def adversarial(self) -> Adversarial | None:
        """The loss, if it is a generator's."""
        return self.loss if isinstance(self.loss, Adversarial) else None

    def override_of(self, weight: str) -> WeightOverride:
        """Return the override of a weight, given by its canonical name: that of the last matching pattern."""
        matching = [override for pattern, override in self.overrides.items() if fnmatchcase(weight, pattern)]
        return matching[-1] if matching else WeightOverride()
