"""Trainers that are wrong in one way each, derived from a correct one, to prove that the comparison detects it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from netspec.graph import Graph
from netspec.lowering import Backend, Batch, StepResult, Trainer, TrainerSettings, TrainingState
from netspec.ops import Dropout
from netspec.ops.base import Array, Weights
from netspec.recipe import Adam, Recipe
from netspec.testing.faults import Fault, FaultyBackend, plant
from netspec.training.update import clip, update

Update = Callable[[Recipe, TrainingState, Weights, float], TrainingState]
NOTHING = Fault("nothing", Dropout)
UNITS = 80  # in the last place of each weight: what TensorFlow's sums are to PyTorch's


@dataclass(frozen=True)
class TrainingFault:
    """A fault; each part of the trainer is correct unless it is given.

    Attributes:
        recipe: what the trainer makes of the recipe.
        network: what is planted in the network.
        batch, total, rate: what it makes of the arguments of a step; the rate of the step before comes with it.
        update: the update in place of the framework's.
    """

    name: str
    recipe: Callable[[Recipe], Recipe] = lambda recipe: recipe
    network: Fault = NOTHING
    batch: Callable[[Batch], Batch] = lambda batch: batch
    total: Callable[[int], int] = lambda total: total
    rate: Callable[[float, float], float] = lambda rate, before: rate
    update: Update | None = None


class WrongTraining(FaultyBackend):
    """A correct backend, except for its training, which has the fault."""

    def __init__(self, backend: Backend, fault: TrainingFault) -> None:
        super().__init__(backend, replace(fault.network, name=fault.name))
        self._wrong = fault

    def trainer(self, graph: Graph, weights: Weights, settings: TrainerSettings) -> Trainer:
        given = replace(settings, recipe=self._wrong.recipe(settings.recipe))
        sound = self._backend.trainer(plant(graph, self._wrong.network), weights, given)
        return WrongTrainer(sound, settings.recipe, self._wrong)


class WrongTrainer(Trainer):
    def __init__(self, sound: Trainer, recipe: Recipe, fault: TrainingFault) -> None:
        self._sound, self._recipe, self._fault = sound, recipe, fault
        self._rate = 0.0

    def step(
        self, batches: Sequence[Batch], rate: float, total: int, key: int, *, keep_gradients: bool = False
    ) -> StepResult:
        fault, before = self._fault, self._sound.export_state()
        given = [fault.batch(batch) for batch in batches]
        used, self._rate = fault.rate(rate, self._rate or rate), rate
        result = self._sound.step(given, used, fault.total(total), key, keep_gradients=True)
        if fault.update is not None:
            after = fault.update(self._recipe, before, result.gradients, rate)
            moved = self._sound.export_state().weights | {name: after.weights[name] for name in result.gradients}
            self._sound.import_state(replace(after, weights=moved))
        return result

    def predict(self, inputs: Array) -> Array:
        return self._sound.predict(inputs)

    def export_state(self) -> TrainingState:
        return self._sound.export_state()

    def import_state(self, state: TrainingState) -> None:
        self._sound.import_state(state)


def with_optimizer(**changes: Any) -> Callable[[Recipe], Recipe]:
    return lambda recipe: recipe.model_copy(update={"optimizer": recipe.optimizer.model_copy(update=changes)})


def with_biases(**changes: float) -> Callable[[Recipe], Recipe]:
    def change(recipe: Recipe) -> Recipe:
        return recipe.model_copy(
            update={"overrides": {"*.bias": recipe.overrides["*.bias"].model_copy(update=changes)}}
        )

    return change


def at_one_rate(recipe: Recipe, before: TrainingState, gradients: Weights, rate: float) -> TrainingState:
    """The curvature is kept, and not read."""
    kept = {slot: arrays for slot, arrays in before.slots.items() if slot == "curvature"}
    without = {slot: arrays for slot, arrays in before.slots.items() if slot not in kept}
    after = update(recipe, replace(before, slots=without), gradients, rate)
    return replace(after, slots=after.slots | kept)


def decoupled_decay(recipe: Recipe, before: TrainingState, gradients: Weights, rate: float) -> TrainingState:
    """The decay of Keras: the weight shrinks first, by an amount that the velocity does not contain."""
    decay = recipe.optimizer.weight_decay
    shrunk = {
        name: w - rate * recipe.override_of(name).lr_scale * decay * recipe.override_of(name).decay_scale * w
        for name, w in before.weights.items()
    }
    return update(with_optimizer(weight_decay=0.0)(recipe), replace(before, weights=shrunk), gradients, rate)


class RateOutside:
    """Exports PyTorch's velocity as the paper's: multiplied by the last rate."""

    def __init__(self) -> None:
        self._last = 0.0

    def __call__(self, recipe: Recipe, before: TrainingState, gradients: Weights, rate: float) -> TrainingState:
        ratio, self._last = rate / (self._last or rate) if before.updates else 1.0, rate
        kept = {slot: {n: v * ratio for n, v in arrays.items()} for slot, arrays in before.slots.items()}
        return update(recipe, replace(before, slots=kept), gradients, rate)


def clipping_after_decay(recipe: Recipe, before: TrainingState, gradients: Weights, rate: float) -> TrainingState:
    decay = recipe.optimizer.weight_decay
    decayed = {
        name: g + decay * recipe.override_of(name).decay_scale * before.weights[name] for name, g in gradients.items()
    }
    plain = with_optimizer(weight_decay=0.0)(recipe).model_copy(update={"clip_gradient_norm": None})
    return update(plain, before, clip(decayed, recipe.clip_gradient_norm), rate)


def epsilon_beside_the_root_as_it_is(
    recipe: Recipe, before: TrainingState, gradients: Weights, rate: float
) -> TrainingState:
    """The Adam of Keras corrects the rate and adds epsilon to √s, so epsilon here is ε / √(1 − β2^t)."""
    if not isinstance(recipe.optimizer, Adam):
        return update(recipe, before, gradients, rate)
    corrected = recipe.optimizer.epsilon / np.sqrt(1 - recipe.optimizer.beta2 ** (before.updates + 1))
    return update(with_optimizer(epsilon=float(corrected))(recipe), before, gradients, rate)


def dampened(recipe: Recipe, before: TrainingState, gradients: Weights, rate: float) -> TrainingState:
    return update(recipe, before, {name: 0.1 * g for name, g in gradients.items()}, rate)


def without_masks(batch: Batch) -> Batch:
    return replace(batch, masks={name: np.ones_like(mask) for name, mask in (batch.masks or {}).items()})


def with_shares_swapped(batch: Batch) -> Batch:
    return replace(batch, shares=None if batch.shares is None else 1 - batch.shares)


def without_partners(batch: Batch) -> Batch:
    return replace(batch, partners=None, shares=None)


def with_whole_pixels(batch: Batch) -> Batch:
    return replace(batch, inputs=batch.inputs.astype(np.uint8))


class OtherRounding(Trainer):
    """A trainer as if its sums had another order: each step starts from weights that differ by some units."""

    def __init__(self, sound: Trainer) -> None:
        self._sound = sound

    def step(
        self, batches: Sequence[Batch], rate: float, total: int, key: int, *, keep_gradients: bool = False
    ) -> StepResult:
        state, random = self._sound.export_state(), np.random.default_rng(key)
        units = {name: UNITS * np.spacing(np.abs(array)) for name, array in state.weights.items()}
        moved = {n: w + units[n] * random.choice([-1, 1], w.shape).astype(w.dtype) for n, w in state.weights.items()}
        self._sound.import_state(replace(state, weights=moved))
        return self._sound.step(batches, rate, total, key, keep_gradients=keep_gradients)

    def predict(self, inputs: Array) -> Array:
        return self._sound.predict(inputs)

    def export_state(self) -> TrainingState:
        return self._sound.export_state()

    def import_state(self, state: TrainingState) -> None:
        self._sound.import_state(state)
