"""`training:`, the recipe: how a network was, or is to be, trained. Validated here, run by `netspec train`.

Units: learning rates are for one optimizer step; a span of time is counted in optimizer steps or in epochs.
"""

from fnmatch import fnmatchcase
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from netspec.ops.attributes import Attribute, NonNegativeInt, PositiveFloat, PositiveInt, Share, Size2d

NonNegativeFloat = Annotated[float, Field(ge=0)]
BelowOne = Annotated[float, Field(ge=0, lt=1)]
Factor = Annotated[float, Field(gt=0, lt=1)]
PositiveShare = Annotated[float, Field(gt=0, le=1)]


class SoftmaxCrossEntropy(Attribute):
    """Cross-entropy of the softmax of the logits, the mean over the batch.

    `label_smoothing` e gives every class e / classes of the target, and the true one 1 - e more (Szegedy et al. 2016,
    section 7). `auxiliary` adds that loss of each auxiliary output, times the weight that stands after its name.
    """

    name: Literal["softmax_cross_entropy"]
    label_smoothing: BelowOne = 0.0
    auxiliary: dict[str, PositiveFloat] = Field(default_factory=dict)


class Sgd(Attribute):
    """Stochastic gradient descent with momentum and decay inside the gradient (g ← g + weight_decay · w).

    `form: paper`: v ← momentum · v - rate · g; w ← w + v, the rate inside the velocity (the paper, Caffe).
    `form: torch`: v ← momentum · v + g; w ← w - rate · v. They differ when the rate changes.
    """

    name: Literal["sgd"]
    learning_rate: PositiveFloat
    momentum: BelowOne = 0.0
    form: Literal["paper", "torch"] = "paper"
    nesterov: bool = False
    weight_decay: NonNegativeFloat = 0.0

    @model_validator(mode="after")
    def _nesterov_has_momentum(self) -> Self:
        if self.nesterov and not self.momentum:
            raise ValueError("`nesterov: true` looks ahead along the momentum, and `momentum` is 0")
        return self


class _Adaptive(Attribute):
    learning_rate: PositiveFloat
    beta1: BelowOne = 0.9
    beta2: BelowOne = 0.999
    epsilon: PositiveFloat = 1e-8
    weight_decay: NonNegativeFloat = 0.0


class Adam(_Adaptive):
    """Adam (Kingma & Ba 2015, algorithm 1: epsilon outside the root), weight decay inside the gradient."""

    name: Literal["adam"]


class AdamW(_Adaptive):
    """Adam with decoupled decay: w ← w - rate · weight_decay · w (Loshchilov & Hutter 2019)."""

    name: Literal["adamw"]


class RmsProp(Attribute):
    """RMSProp (Tieleman & Hinton 2012, lecture 6e) with momentum, weight decay inside the gradient.

    With s ← rho · s + (1 - rho) · g², which begins at 0:
    `form: tensorflow`: v ← momentum · v + rate · g / √(s + epsilon); w ← w - v, epsilon inside the root and the rate
    inside the velocity, as the papers that trained in TensorFlow have it.
    `form: torch`: v ← momentum · v + g / (√s + epsilon); w ← w - rate · v, both outside.
    """

    name: Literal["rmsprop"]
    learning_rate: PositiveFloat
    rho: BelowOne = 0.9
    momentum: BelowOne = 0.0
    epsilon: PositiveFloat = 1e-3
    form: Literal["tensorflow", "torch"] = "tensorflow"
    weight_decay: NonNegativeFloat = 0.0


Optimizer = Annotated[Sgd | Adam | AdamW | RmsProp, Field(discriminator="name")]


class WeightOverride(Attribute):
    """What some weights do differently: multiples of the learning rate and of the weight decay."""

    lr_scale: NonNegativeFloat = 1.0
    decay_scale: NonNegativeFloat = 1.0


class WeightAverage(Attribute):
    """A running average of the trained weights, which is what the network is when it is scored and kept.

    a ← d · a + (1 - d) · w after each update, a = w at first; running statistics, which are averages, stay as they are.
    d is `decay`, and less at the beginning, (1 + t) / (10 + t) after t updates: else a would be the first weights for
    long (tf.train.ExponentialMovingAverage with num_updates, by which Inception v3 and EfficientNet were trained).
    """

    decay: Factor

    def share(self, updates: int) -> float:
        """What the weights count in the average, 1 - d, after so many updates, this one included."""
        return 1 - min(self.decay, (1 + updates) / (10 + updates))


class Span(Attribute):
    """A length of training, in optimizer steps or in epochs."""

    steps: PositiveInt | None = None
    epochs: PositiveFloat | None = None

    @model_validator(mode="after")
    def _has_one_unit(self) -> Self:
        _require_one(steps=self.steps, epochs=self.epochs)
        return self


def _require_one(**lengths: float | None) -> None:
    given = [name for name, value in lengths.items() if value is not None]
    if len(given) != 1:
        names = " or ".join(f"`{name}`" for name in lengths)
        raise ValueError(f"expected either {names}, received {'both' if given else 'neither'}")


def _require_rising(name: str, bounds: tuple[float, float]) -> None:
    if bounds[0] > bounds[1]:
        raise ValueError(f"`{name}` is [least, greatest], received [{bounds[0]:g}, {bounds[1]:g}]")


class ConstantSchedule(Attribute):
    """The learning rate stays."""

    name: Literal["constant"]


class StepSchedule(Attribute):
    """Times `factor` after every span."""

    name: Literal["step"]
    every: Span
    factor: Factor = 0.1


class MultistepSchedule(Attribute):
    """Times `factor` at each of these moments, which rise and share a unit."""

    name: Literal["multistep"]
    at: tuple[Span, ...] = Field(strict=False, min_length=1)
    factor: Factor = 0.1

    @model_validator(mode="after")
    def _rises(self) -> Self:
        moments = [span.steps if span.steps is not None else span.epochs for span in self.at]
        if len({span.steps is None for span in self.at}) > 1:
            raise ValueError("the moments of `at` are in steps and in epochs; one unit for all of them")
        if any(a >= b for a, b in pairwise(moments) if a is not None and b is not None):
            raise ValueError(
                f"the moments of `at` must rise, received {', '.join(f'{moment:g}' for moment in moments if moment)}"
            )
        return self


class ExponentialSchedule(Attribute):
    """Times `factor` over every span, smoothly."""

    name: Literal["exponential"]
    every: Span
    factor: Factor


class PolynomialSchedule(Attribute):
    """From 1 to `final` of the learning rate as (1 - progress) ** power, over the whole run."""

    name: Literal["polynomial"]
    power: PositiveFloat = 1.0
    final: Share = 0.0


class CosineSchedule(Attribute):
    """From 1 to `final` of the learning rate along half a cosine, over the whole run."""

    name: Literal["cosine"]
    final: Share = 0.0


class PlateauSchedule(Attribute):
    """Times `factor` when the validation error has not fallen by `threshold` for `patience` epochs."""

    name: Literal["plateau"]
    factor: Factor = 0.1
    patience: PositiveInt = 5
    threshold: NonNegativeFloat = 1e-4
    least_learning_rate: NonNegativeFloat = 0.0


Schedule = Annotated[
    ConstantSchedule
    | StepSchedule
    | MultistepSchedule
    | ExponentialSchedule
    | PolynomialSchedule
    | CosineSchedule
    | PlateauSchedule,
    Field(discriminator="name"),
]


class Warmup(Span):
    """A rise of the learning rate in a straight line, from `start` of it, before the schedule begins."""

    start: Share = 0.0


class ColorNoise(Attribute):
    """The paper's shift along the principal components of RGB: each times N(0, std) of its deviation."""

    std: PositiveFloat


class RandomResizedCrop(Attribute):
    """A part of the image, resized to the network's input: scale and aspect ratio augmentation.

    `area` bounds its share of the image's area, evenly distributed; `aspect_ratio` its width over its height, the
    logarithm evenly distributed over what fits into the image (Szegedy et al. 2015, section 6, whose bounds these are).
    """

    area: tuple[PositiveShare, PositiveShare] = Field((0.08, 1.0), strict=False)
    aspect_ratio: tuple[PositiveFloat, PositiveFloat] = Field((3 / 4, 4 / 3), strict=False)

    @model_validator(mode="after")
    def _bounds_rise(self) -> Self:
        _require_rising("area", self.area)
        _require_rising("aspect_ratio", self.aspect_ratio)
        return self


class Augmentation(Attribute):
    """What is done to a training image at random.

    Attributes:
        random_shorter_side: bounds of the side, both legal, that the whole image's shorter side is resized to before
            the crop, for the preprocessing's (VGG: Simonyan & Zisserman 2015, section 3.1). Units: pixels.
        random_crop: where the crop lies; without it, in the centre.
        random_resized_crop: another way to have a crop.
        horizontal_flip: mirrors one of two.
        color_noise: added to all pixels.
    """

    random_shorter_side: tuple[PositiveInt, PositiveInt] | None = Field(None, strict=False)
    random_crop: Size2d | None = None
    random_resized_crop: RandomResizedCrop | None = None
    horizontal_flip: bool = False
    color_noise: ColorNoise | None = None

    @model_validator(mode="after")
    def _has_one_crop(self) -> Self:
        if self.random_resized_crop and (self.random_crop or self.random_shorter_side):
            other = "random_crop" if self.random_crop else "random_shorter_side"
            raise ValueError(f"`random_resized_crop` says size and place of the crop: leave it out, or `{other}`")
        if self.random_shorter_side:
            _require_rising("random_shorter_side", self.random_shorter_side)
        return self

    @property
    def asked(self) -> tuple[str, ...]:
        """The names of what is done."""
        return tuple(name for name in type(self).model_fields if getattr(self, name))

    @property
    def resizes(self) -> bool:
        """Whether crops are resized from the image as it is, whatever the preprocessing's size."""
        return self.random_resized_crop is not None or self.random_shorter_side is not None


class Evaluation(Attribute):
    """How an image is scored: its center crop, or the mean of ten views (corners, center, mirrored)."""

    views: Literal[1, 10] = 1


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
        _require_one(epochs=self.epochs, steps=self.steps)
        return self

    def override_of(self, weight: str) -> WeightOverride:
        """What a weight does differently, by its canonical name: the last pattern that fits it."""
        found = [override for pattern, override in self.overrides.items() if fnmatchcase(weight, pattern)]
        return found[-1] if found else WeightOverride()
