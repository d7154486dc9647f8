"""Optimizers, whose NumPy reference is `netspec.training.update`, and overrides for single weights."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from netspec.ops.attributes import Attribute, NonNegativeInt, PositiveFloat, PositiveInt
from netspec.recipe.bounds import BelowOne, Factor, NonNegativeFloat

VELOCITY, FIRST_MOMENT, SECOND_MOMENT = "velocity", "first_moment", "second_moment"
CURVATURE = "curvature"


class Sgd(Attribute):
    """Stochastic gradient descent with momentum and L2 weight decay (g ← g + weight_decay · w).

    `form: paper`: v ← momentum · v - rate · g; w ← w + v, where the velocity includes the rate (the paper, Caffe).
    `form: torch`: v ← momentum · v + g; w ← w - rate · v. The two differ if the rate changes.
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
            raise ValueError("`nesterov: true` needs a `momentum` above 0")
        return self

    @property
    def slots(self) -> tuple[str, ...]:
        """The names of the optimizer state kept for each weight."""
        return (VELOCITY,) if self.momentum else ()


class _Adaptive(Attribute):
    """Base class of optimizers with estimates of the first and second moments of the gradient."""

    learning_rate: PositiveFloat
    beta1: BelowOne = 0.9
    beta2: BelowOne = 0.999
    epsilon: PositiveFloat = 1e-8
    weight_decay: NonNegativeFloat = 0.0

    @property
    def slots(self) -> tuple[str, ...]:
        """The names of the optimizer state kept for each weight."""
        return (FIRST_MOMENT, SECOND_MOMENT)


class Adam(_Adaptive):
    """Adam (Kingma & Ba 2015, algorithm 1: epsilon outside the root) with L2 weight decay in the gradient."""

    name: Literal["adam"]


class AdamW(_Adaptive):
    """Adam with decoupled weight decay: w ← w - rate · weight_decay · w (Loshchilov & Hutter 2019)."""

    name: Literal["adamw"]


class RmsProp(Attribute):
    """RMSProp (Tieleman & Hinton 2012, lecture 6e) with momentum and L2 weight decay in the gradient.

    With s ← rho · s + (1 - rho) · g², initially 0:
    `form: tensorflow`: v ← momentum · v + rate · g / √(s + epsilon); w ← w - v, with epsilon inside the root and the
    rate inside the velocity, as in papers that trained in TensorFlow.
    `form: torch`: v ← momentum · v + g / (√s + epsilon); w ← w - rate · v, with both outside.
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
        """The names of the optimizer state kept for each weight."""
        return (SECOND_MOMENT, VELOCITY) if self.momentum else (SECOND_MOMENT,)


class DiagonalLevenbergMarquardt(Attribute):
    """Stochastic gradient descent with a rate for each weight, w ← w - rate / (damping + h) · g.

    h is the second derivative of the loss in that weight, by the diagonal of the Gauss-Newton matrix. It is the mean
    over the first `samples` samples of an epoch, estimated anew before each of them, and fixed until the next
    (`netspec.training.curvature`). With L2 weight decay in the gradient.

    Source: LeCun et al. 1998, section III.B and appendix C, where damping is 0.02 and 500 samples suffice.
    """

    name: Literal["diagonal_levenberg_marquardt"]
    learning_rate: PositiveFloat
    damping: PositiveFloat = 0.02
    samples: PositiveInt = 500
    weight_decay: NonNegativeFloat = 0.0

    @property
    def slots(self) -> tuple[str, ...]:
        """The names of the optimizer state kept for each weight."""
        return (CURVATURE,)


Optimizer = Annotated[Sgd | Adam | AdamW | RmsProp | DiagonalLevenbergMarquardt, Field(discriminator="name")]


class WeightOverride(Attribute):
    """Factors of the learning rate and of the weight decay for some weights."""

    lr_scale: NonNegativeFloat = 1.0
    decay_scale: NonNegativeFloat = 1.0


class WeightAverage(Attribute):
    """A running average a of the trained weights w, with which the network is evaluated and saved.

    a = w up to update `start`, then a ← d · a + (1 - d) · w after each update. Running statistics are not averaged.
    With t updates since `start`:
    `form: exponential`: d is the smaller of `decay` and (1 + t) / (10 + t); without the latter the initial weights
    would dominate for a long time (tf.train.ExponentialMovingAverage with num_updates, with which Inception v3 and
    EfficientNet were trained).
    `form: uniform`: d = t / (t + 1), so that a is the mean of the weights from `start` on (Polyak & Juditsky 1992).
    """

    form: Literal["exponential", "uniform"] = "exponential"
    decay: Factor | None = None
    start: NonNegativeInt = 0

    @model_validator(mode="after")
    def _decays_where_it_is_exponential(self) -> Self:
        if self.form == "exponential" and self.decay is None:
            raise ValueError("expected the `decay` of the exponential average, such as 0.9999, or `form: uniform`")
        if self.form == "uniform" and self.decay is not None:
            raise ValueError("`form: uniform` gives all updates the same weight and has no `decay`")
        return self

    def share(self, updates: int) -> float:
        """Return 1 - d, the share of the current weights in the average, at this update, counted from 1."""
        since = max(updates - self.start, 0)
        if self.decay is None or not since:
            return 1 / (since + 1)
        return 1 - min(self.decay, (1 + since) / (10 + since))
