"""The fifty steps of the suite for trainers detect wrong updates."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from netspec.lowering import TrainingState
from netspec.ops.base import Weights
from netspec.recipe import Recipe, WeightAverage
from netspec.training.update import update
from tests.testing.numpy_trainer import NumPyBackend
from tests.testing.planting import FIFTY_STEPS, catches
from tests.verify.faulty_trainers import (
    RateOutside,
    TrainingFault,
    WrongTraining,
    at_one_rate,
    clipping_after_decay,
    dampened,
    decoupled_decay,
    with_biases,
    with_optimizer,
)


def epsilon_inside_the_root(recipe: Recipe, before: TrainingState, gradients: Weights, rate: float) -> TrainingState:
    after, rule = update(recipe, before, gradients, rate), recipe.optimizer
    weights = dict(before.weights)
    for name in gradients:
        first, second = (after.slots[slot][name] for slot in ("first_moment", "second_moment"))
        mean, square = first / (1 - rule.beta1**after.updates), second / (1 - rule.beta2**after.updates)
        weights[name] = weights[name] - rate * mean / np.sqrt(square + rule.epsilon)
    return replace(after, weights=weights)


def no_decay_without_a_gradient(
    recipe: Recipe, before: TrainingState, gradients: Weights, rate: float
) -> TrainingState:
    """A framework computes no gradient of weights that no output needs, and its optimizer skips them."""
    after = update(recipe, before, {name: g for name, g in gradients.items() if g.any()}, rate)
    zeros = {name: np.zeros_like(g) for name, g in gradients.items()}
    return replace(after, slots={slot: zeros | arrays for slot, arrays in after.slots.items()})


def averaged_before(recipe: Recipe, before: TrainingState, gradients: Weights, rate: float) -> TrainingState:
    """The weights enter the average an update late."""
    after, share = update(recipe, before, gradients, rate), recipe.weight_average.share(before.updates + 1)
    old = before.trained
    return replace(after, weights=after.weights | {n: a + share * (old[n] - a) for n, a in before.weights.items()})


def curvature_of_the_gradient(recipe: Recipe, before: TrainingState, gradients: Weights, rate: float) -> TrainingState:
    """The slot follows the squared gradient, as that of other optimizers does."""
    after = update(recipe, before, gradients, rate)
    kept = {name: 0.9 * h + 0.1 * gradients[name] ** 2 for name, h in before.slots["curvature"].items()}
    return replace(after, slots=after.slots | {"curvature": kept})


def from_the_average(recipe: Recipe, before: TrainingState, gradients: Weights, rate: float) -> TrainingState:
    """Each update starts from the average instead of the trained weights."""
    return update(recipe, replace(before, slots=before.slots | {"iterate": {}}), gradients, rate)


def without(**fields: Any) -> Any:
    """Return a function that changes these fields of a recipe."""
    return lambda recipe: recipe.model_copy(update=fields)


UPDATES = [
    (TrainingFault("decoupled decay", update=decoupled_decay), "paper"),
    (TrainingFault("the torch form", update=RateOutside()), "paper"),
    (TrainingFault("the paper's form", with_optimizer(form="paper")), "torch"),
    (TrainingFault("an old rate", rate=lambda _, old: old), "no momentum"),
    (TrainingFault("no look ahead", with_optimizer(nesterov=False)), "torch, nesterov"),
    (TrainingFault("dampened", update=dampened), "paper, nesterov"),
    (TrainingFault("no decay without a gradient", update=no_decay_without_a_gradient), "paper"),
    (TrainingFault("no lr_scale", with_biases(lr_scale=1.0)), "overrides"),
    (TrainingFault("no decay_scale", with_biases(decay_scale=1.0)), "overrides, torch"),
    (TrainingFault("no overrides", without(overrides={})), "overrides, adamw"),
    (TrainingFault("no overrides", without(overrides={})), "overrides, nesterov"),
    (TrainingFault("epsilon inside the root", update=epsilon_inside_the_root), "adam"),
    (TrainingFault("decoupled decay", update=decoupled_decay), "adam"),
    (TrainingFault("another beta", with_optimizer(beta1=0.9)), "adamw"),
    (TrainingFault("one rate", update=at_one_rate), "levenberg-marquardt"),
    (TrainingFault("moving curvature", update=curvature_of_the_gradient), "averaged, levenberg-marquardt"),
    (TrainingFault("other damping", with_optimizer(damping=0.45)), "overrides, levenberg-marquardt"),
    (TrainingFault("decoupled decay", update=decoupled_decay), "levenberg-marquardt"),
    (TrainingFault("the torch form", with_optimizer(form="torch")), "rmsprop"),
    (TrainingFault("TensorFlow's form", with_optimizer(form="tensorflow")), "rmsprop, torch"),
    (TrainingFault("another rho", with_optimizer(rho=0.99)), "rmsprop, no momentum"),
    (TrainingFault("epsilon inside the root", with_optimizer(form="tensorflow")), "rmsprop, torch, no momentum"),
    (TrainingFault("no decay_scale", with_biases(decay_scale=1.0)), "overrides, rmsprop"),
    (TrainingFault("no average", without(weight_average=None)), "averaged"),
    (TrainingFault("another decay", without(weight_average=WeightAverage(decay=0.7))), "averaged"),
    (TrainingFault("an exponential average", without(weight_average=WeightAverage(decay=0.98))), "averaged, uniform"),
    (TrainingFault("another start", without(weight_average=WeightAverage(form="uniform"))), "averaged, uniform"),
    (TrainingFault("the average of before", update=averaged_before), "averaged, adamw"),
    (TrainingFault("a gradient of the average", update=from_the_average), "averaged"),
    (TrainingFault("clipping after decay", update=clipping_after_decay), "clipping"),
    (TrainingFault("no clipping", without(clip_gradient_norm=None)), "clipping, nesterov"),
]


@pytest.mark.parametrize(("fault", "rule"), UPDATES, ids=lambda value: getattr(value, "name", value))
def test_a_wrong_update_is_caught(fault: TrainingFault, rule: str) -> None:
    assert catches(WrongTraining(NumPyBackend(), fault), FIFTY_STEPS, rule, 1)


@pytest.mark.parametrize("rule", sorted({rule for _, rule in UPDATES}))
def test_the_wrapper_is_sound_without_a_fault(rule: str) -> None:
    # Otherwise what is caught above might be the wrapper.
    assert not catches(WrongTraining(NumPyBackend(), TrainingFault("nothing")), FIFTY_STEPS, rule, 1)
