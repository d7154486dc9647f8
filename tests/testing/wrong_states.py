"""Trainers that are wrong in their masks, their updates or their state, one way each."""

from __future__ import annotations

import math
import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from netspec.errors import BackendError
from netspec.graph import Graph
from netspec.lowering import Batch, StepResult, TrainerSettings, TrainingState
from netspec.ops.base import Array, Weights
from netspec.types import DType
from tests.testing.numpy_trainer import Masks, NumPyTrainer
from tests.testing.planting import Planted, planter

FAULTS: list[Planted] = []
plant = planter(FAULTS)


@plant("update", "test_adam_is_as_exact_in_float32", "adam")
@plant("update", "test_adam_is_as_exact_in_float32", "adamw")
def corrected_by_a_rounded_beta(self: NumPyTrainer, gradients: Weights, rate: float) -> TrainingState:
    """1 − β2 is exact, but 1 − β2^t is computed from β2 in float32."""
    beta, t = self.settings.recipe.optimizer.beta2, self.state.updates + 1
    ratio = (1 - float(np.float32(beta)) ** t) / (1 - beta**t)
    return NumPyTrainer.update(self, gradients, rate * math.sqrt(ratio))


@plant("update", "test_slots_are_as_exact_at_any_rate", "paper")
def by_way_of_a_dampening(self: NumPyTrainer, gradients: Weights, rate: float) -> TrainingState:
    return NumPyTrainer.update(self, gradients, 1 - (1 - rate))


@plant("__init__", "test_a_head_without_a_weight_is_refused")
def by_whatever_weights_there_are(
    self: NumPyTrainer, graph: Graph, weights: Weights, settings: TrainerSettings
) -> None:
    given = settings.recipe.loss.model_copy(update={"auxiliary": dict.fromkeys((h.name for h in graph.heads), 0.3)})
    recipe = settings.recipe.model_copy(update={"loss": given})
    NumPyTrainer.__init__(self, graph, weights, replace(settings, recipe=recipe))


@plant("predict", "test_a_prediction_is_of_the_averaged_weights")
def by_what_is_trained(self: NumPyTrainer, inputs: Array) -> Array:
    kept, self.state = self.state, replace(self.state, weights=self.state.trained)
    try:
        return NumPyTrainer.predict(self, inputs)
    finally:
        self.state = kept


@plant("predict", "test_a_prediction_is_of_the_averaged_weights")
def the_average_stays(self: NumPyTrainer, inputs: Array) -> Array:
    """A prediction replaces the trained weights by their average, and they are lost."""
    trained = {name: self.state.weights[name] for name in self.state.slots.get("iterate", {})}
    self.state = replace(self.state, slots=self.state.slots | {"iterate": trained})
    return NumPyTrainer.predict(self, inputs)


@plant("masks", "test_a_key_decides_what_is_dropped")
def of_one_key(self: NumPyTrainer, batch: Batch, key: int, position: int) -> Masks:
    return NumPyTrainer.masks(self, batch, 0, position)


@plant("masks", "test_a_key_decides_what_is_dropped")
def of_no_key(self: NumPyTrainer, batch: Batch, key: int, position: int) -> Masks:
    return NumPyTrainer.masks(self, batch, secrets.randbits(64), position)


@plant("masks", "test_a_key_decides_what_is_dropped")
def of_the_first_batch(self: NumPyTrainer, batch: Batch, key: int, position: int) -> Masks:
    return NumPyTrainer.masks(self, batch, key, 0)


@plant("masks", "test_masks_are_for_their_batch_alone")
def of_the_batch_before(self: NumPyTrainer, batch: Batch, key: int, position: int) -> Masks:
    self.left = batch.masks or (getattr(self, "left", None) if position else None)
    return NumPyTrainer.masks(self, replace(batch, masks=self.left), key, position)


@plant("step", "test_a_loss_that_is_not_finite_changes_nothing", 1)
def counted_though(self: NumPyTrainer, *given: Any, **options: Any) -> StepResult:
    result, updates = NumPyTrainer.step(self, *given, **options), self.state.updates
    if not math.isfinite(result.loss):
        self.state = replace(self.state, updates=updates + 1)
    return result


@plant("step", "test_a_loss_that_is_not_finite_changes_nothing", 2)
def what_was_sound_of_it_stays(
    self: NumPyTrainer, batches: Sequence[Batch], rate: float, total: int, key: int, **options: Any
) -> StepResult:
    result = NumPyTrainer.step(self, batches, rate, total, key, **options)
    if not math.isfinite(result.loss):
        _, moved = self.differentiate(batches[0], self.masks(batches[0], key, 0), total)
        self.state = replace(self.state, weights=self.state.weights | moved)
    return result


@plant("step", "test_an_export_continues_to_the_bit", "torch", DType.FLOAT32)
def in_what_was_exported(self: NumPyTrainer, *given: Any, **options: Any) -> StepResult:
    before = self.state
    result = NumPyTrainer.step(self, *given, **options)
    for name, array in before.weights.items():
        array[...] = self.state.weights[name]
    return result


@plant("import_state", "test_an_export_continues_to_the_bit", "paper", DType.FLOAT64)
def slots_kept(self: NumPyTrainer, state: TrainingState) -> None:
    NumPyTrainer.import_state(self, replace(state, slots=self.state.slots if hasattr(self, "state") else {}))


@plant("import_state", "test_an_export_continues_to_the_bit", "adam", DType.FLOAT64)
def updates_not_imported(self: NumPyTrainer, state: TrainingState) -> None:
    NumPyTrainer.import_state(self, replace(state, updates=getattr(self, "state", state).updates))


@plant("import_state", "test_slots_that_are_not_there_are_zero")
def slots_not_given_kept(self: NumPyTrainer, state: TrainingState) -> None:
    NumPyTrainer.import_state(self, replace(state, slots=getattr(self, "state", state).slots | state.slots))


@plant("import_state", "test_mismatches_are_refused")
def weights_not_given_kept(self: NumPyTrainer, state: TrainingState) -> None:
    NumPyTrainer.import_state(self, replace(state, weights=getattr(self, "state", state).weights | state.weights))


@plant("import_state", "test_mismatches_are_refused")
def slots_that_do_not_fit_left_out(self: NumPyTrainer, state: TrainingState) -> None:
    shapes = {name: weight.shape for name, weight in self.graph.weights.items()}
    fitting = {
        slot: {name: array for name, array in arrays.items() if array.shape == shapes.get(name)}
        for slot, arrays in state.slots.items()
    }
    NumPyTrainer.import_state(self, replace(state, slots=fitting))


@plant("__init__", "test_settings_that_do_not_fit_are_refused")
def normalization_that_does_not_fit_left_out(
    self: NumPyTrainer, graph: Graph, weights: Weights, settings: TrainerSettings
) -> None:
    fixed = settings.normalization
    fits = fixed is None or fixed.mean.shape == graph.inputs[0].type.features
    NumPyTrainer.__init__(self, graph, weights, settings if fits else replace(settings, normalization=None))


@plant("update", "test_features_and_a_rate_of_zero", "adamw")
def never_at_rest(self: NumPyTrainer, gradients: Weights, rate: float) -> TrainingState:
    return NumPyTrainer.update(self, gradients, rate or self.settings.recipe.optimizer.learning_rate)


@plant("input", "test_features_and_a_rate_of_zero", "paper")
def features_channels_last(
    self: NumPyTrainer, inputs: Array, shifts: Array | None = None, *, training: bool = False
) -> Array:
    x = NumPyTrainer.input(self, inputs, shifts, training=training)
    return x if self.settings.normalization else x.transpose(0, 2, 3, 1).reshape(x.shape)


@plant("__init__", "test_bfloat16_is_for_layers_alone")
def float32_whatever_is_asked(self: NumPyTrainer, graph: Graph, weights: Weights, settings: TrainerSettings) -> None:
    if settings.precision == "bfloat16" and graph.dtype is DType.FLOAT64:
        raise BackendError("bfloat16 is for float32")
    NumPyTrainer.__init__(self, graph, weights, replace(settings, precision="float32"))
