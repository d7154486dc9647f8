"""The learning rate as a function of the optimizer step, computed outside the frameworks."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from netspec.errors import NetspecError
from netspec.recipe import (
    ConstantSchedule,
    CosineSchedule,
    ExponentialSchedule,
    MultistepSchedule,
    PlateauSchedule,
    PolynomialSchedule,
    Recipe,
    Span,
    StepSchedule,
)


@dataclass(frozen=True, slots=True)
class Plateau:
    """The state of a plateau schedule; it is saved in the checkpoint.

    Attributes:
        factor: the product of all reductions of the learning rate so far.
        best: the lowest validation error that counted as an improvement; None before the first.
        waited: epochs since that improvement.
    """

    factor: float = 1.0
    best: float | None = None
    waited: int = 0


class Schedule:
    """A recipe's schedule over a run of known length. Units: optimizer steps, counted from 0.

    The rate is computed only from the step, never from the previous rate, so that rounding does not accumulate. A
    change takes effect before the update of the step it names: `at: [{steps: 100}]` applies first to step 100, the one
    after 100 others. A warm-up overrides the schedule while it lasts; the schedule still counts its steps from step 0.
    A plateau schedule ignores the epochs that end within the warm-up, in which the rate still rises.

    Args:
        recipe: the source of the schedule, the warm-up and the optimizer's learning rate.
        steps_per_epoch: the number of steps in an epoch.
    """

    def __init__(self, recipe: Recipe, steps_per_epoch: int) -> None:
        self._recipe = recipe
        self._per_epoch = steps_per_epoch
        self.total_steps = recipe.steps if recipe.steps is not None else (recipe.epochs or 0) * steps_per_epoch
        self._warmup = self._steps(recipe.warmup) if recipe.warmup else 0

    def rate(self, step: int, plateau: Plateau | None = None) -> float:
        """The learning rate of a step."""
        base = self._recipe.optimizer.learning_rate
        if self._recipe.warmup is not None and step < self._warmup:
            start = self._recipe.warmup.start
            return base * (start + (1 - start) * step / self._warmup)
        return base * self._factor(step, plateau or Plateau())

    def observe(self, plateau: Plateau, error: float, step: int) -> Plateau:
        """The plateau state after an epoch that ended at `step` with this validation error (a share of 1)."""
        rule = self._recipe.schedule
        if not isinstance(rule, PlateauSchedule) or step <= self._warmup:
            return plateau
        if plateau.best is None or error < plateau.best - rule.threshold:
            return replace(plateau, best=error, waited=0)
        if plateau.waited + 1 < rule.patience:
            return replace(plateau, waited=plateau.waited + 1)
        least = rule.least_learning_rate / self._recipe.optimizer.learning_rate
        return replace(plateau, factor=min(plateau.factor, max(plateau.factor * rule.factor, least)), waited=0)

    def _factor(self, step: int, plateau: Plateau) -> float:
        match self._recipe.schedule:
            case ConstantSchedule():
                return 1.0
            case StepSchedule() as rule:
                return math.pow(rule.factor, step // self._steps(rule.every))
            case MultistepSchedule() as rule:
                passed = sum(step >= self._steps(moment) for moment in rule.at)
                if isinstance(rule.factor, tuple):
                    return math.prod(rule.factor[:passed])
                return math.pow(rule.factor, passed)
            case ExponentialSchedule() as rule:
                return math.pow(rule.factor, step / self._steps(rule.every))
            case PolynomialSchedule() as rule:
                return rule.final + (1 - rule.final) * math.pow(1 - self._progress(step), rule.power)
            case CosineSchedule() as rule:
                return rule.final + (1 - rule.final) * (1 + math.cos(math.pi * self._progress(step))) / 2
            case PlateauSchedule():
                return plateau.factor

    def _progress(self, step: int) -> float:
        """The fraction of the run after its warm-up that lies before a step."""
        return min(1.0, (step - self._warmup) / max(1, self.total_steps - self._warmup))

    def _steps(self, span: Span) -> int:
        if span.steps is not None:
            return span.steps
        steps = round((span.epochs or 0.0) * self._per_epoch)
        if not steps:
            raise NetspecError(
                f"training: a span of {span.epochs:g} epochs is less than one step: an epoch has {self._per_epoch}",
                "make the span longer, or give it in steps",
            )
        return steps
