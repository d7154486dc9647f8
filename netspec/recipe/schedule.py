"""Learning rate schedules."""

from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

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
    """The learning rate is constant."""

    name: Literal["constant"]


class StepSchedule(Attribute):
    """The learning rate is multiplied by `factor` after every span."""

    name: Literal["step"]
    every: Span
    factor: Factor = 0.1


def _form(factor: Any) -> str:
    return "list" if isinstance(factor, list | tuple) else "number"


class MultistepSchedule(Attribute):
    """The learning rate is multiplied by `factor` at each of the spans `at`, which ascend and have the same unit.

    `factor` is one number for all of them, or a list with one for each.
    """

    name: Literal["multistep"]
    at: tuple[Span, ...] = Field(strict=False, min_length=1)
    factor: Annotated[
        Annotated[Factor, Tag("number")] | Annotated[tuple[Factor, ...], Field(strict=False), Tag("list")],
        Discriminator(_form),
    ] = 0.1

    @model_validator(mode="after")
    def _rises(self) -> Self:
        lengths = [span.steps or span.epochs or 0.0 for span in self.at]
        if len({span.steps is None for span in self.at}) > 1:
            raise ValueError("`at` mixes steps and epochs: expected one unit for all of its entries")
        if any(a >= b for a, b in pairwise(lengths)):
            raise ValueError(f"`at` must be in ascending order, received {', '.join(f'{n:g}' for n in lengths)}")
        return self

    @model_validator(mode="after")
    def _has_a_factor_for_each(self) -> Self:
        if isinstance(self.factor, tuple) and len(self.factor) != len(self.at):
            raise ValueError(
                f"expected one `factor` for each of the {len(self.at)} moments in `at`, or a number for all, received "
                f"{len(self.factor)}"
            )
        return self


class ExponentialSchedule(Attribute):
    """The learning rate decays smoothly, by `factor` over every span."""

    name: Literal["exponential"]
    every: Span
    factor: Factor


class PolynomialSchedule(Attribute):
    """The learning rate falls from 1 to `final` times its value as (1 - progress) ** power, over the whole run."""

    name: Literal["polynomial"]
    power: PositiveFloat = 1.0
    final: Share = 0.0


class CosineSchedule(Attribute):
    """The learning rate falls from 1 to `final` times its value along half a cosine, over the whole run."""

    name: Literal["cosine"]
    final: Share = 0.0


class PlateauSchedule(Attribute):
    """The learning rate is multiplied by `factor` when the validation error stops falling.

    This is when it has not fallen by `threshold` for `patience` epochs.
    """

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
    """A linear rise of the learning rate, from `start` times its value, before the schedule begins."""

    start: Share = 0.0
