"""How the learning rate goes over a run."""

from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from netspec.ops.attributes import Attribute, PositiveFloat, PositiveInt, Share
from netspec.recipe.bounds import Factor, NonNegativeFloat, require_one


class Span(Attribute):
    """A length of training, in optimizer steps or in epochs."""

    steps: PositiveInt | None = None
    epochs: PositiveFloat | None = None

    @model_validator(mode="after")
    def _has_one_unit(self) -> Self:
        require_one(steps=self.steps, epochs=self.epochs)
        return self


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
