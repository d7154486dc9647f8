"""The update rules, which `netspec.training.update` states in NumPy, and what changes them for some weights."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from netspec.ops.attributes import Attribute, NonNegativeInt, PositiveFloat
from netspec.recipe.bounds import BelowOne, Factor, NonNegativeFloat

VELOCITY, FIRST_MOMENT, SECOND_MOMENT = "velocity", "first_moment", "second_moment"


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

    @property
    def slots(self) -> tuple[str, ...]:
        """What is kept for each weight from step to step."""
        return (VELOCITY,) if self.momentum else ()


class _Adaptive(Attribute):
    learning_rate: PositiveFloat
    beta1: BelowOne = 0.9
    beta2: BelowOne = 0.999
    epsilon: PositiveFloat = 1e-8
    weight_decay: NonNegativeFloat = 0.0

    @property
    def slots(self) -> tuple[str, ...]:
        """What is kept for each weight from step to step."""
        return (FIRST_MOMENT, SECOND_MOMENT)


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

    @property
    def slots(self) -> tuple[str, ...]:
        """What is kept for each weight from step to step."""
        return (SECOND_MOMENT, VELOCITY) if self.momentum else (SECOND_MOMENT,)


Optimizer = Annotated[Sgd | Adam | AdamW | RmsProp, Field(discriminator="name")]


class WeightOverride(Attribute):
    """What some weights do differently: multiples of the learning rate and of the weight decay."""

    lr_scale: NonNegativeFloat = 1.0
    decay_scale: NonNegativeFloat = 1.0


class WeightAverage(Attribute):
    """A running average of the trained weights, which is what the network is when it is scored and kept.

    a ← d · a + (1 - d) · w after each update, a = w up to update `start`; running statistics, which are averages, stay
    as they are. With t updates since then:
    `form: exponential`: d is `decay`, and less at the beginning, (1 + t) / (10 + t): else a would be the first weights
    for long (tf.train.ExponentialMovingAverage with num_updates, by which Inception v3 and EfficientNet were trained).
    `form: uniform`: d = t / (t + 1), so that a is the mean of the weights at `start` and of all that follow (Polyak &
    Juditsky 1992).
    """

    form: Literal["exponential", "uniform"] = "exponential"
    decay: Factor | None = None
    start: NonNegativeInt = 0

    @model_validator(mode="after")
    def _decays_where_it_is_exponential(self) -> Self:
        if self.form == "exponential" and self.decay is None:
            raise ValueError("expected the `decay` of the exponential average, as 0.9999, or `form: uniform`")
        if self.form == "uniform" and self.decay is not None:
            raise ValueError("`form: uniform` weighs all weights alike and has no `decay`")
        return self

    def share(self, updates: int) -> float:
        """The share of the weights in the average, 1 - d, after this many updates, this one included."""
        since = max(updates - self.start, 0)
        if self.decay is None or not since:
            return 1 / (since + 1)
        return 1 - min(self.decay, (1 + since) / (10 + since))
