"""Trainers whose losses, gradients, statistics or predictions are wrong, one way each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from netspec.graph import Node
from netspec.lowering import Batch, StepResult
from netspec.ops.base import Array
from netspec.training.update import clip
from tests.testing.numpy_trainer import Masks, NumPyTrainer
from tests.testing.planting import Planted, planter

FAULTS: list[Planted] = []
plant = planter(FAULTS)


@plant("step", "test_accumulated_gradients_are_those_of_the_whole")
def the_last_batch_alone(self: NumPyTrainer, batches: Sequence[Batch], *given: Any, **options: Any) -> StepResult:
    return NumPyTrainer.step(self, batches[-1:], *given, **options)


@plant("differentiate", "test_loss_and_statistics_are_those_of_the_ops", 0.0)
def divided_by_the_batch(self: NumPyTrainer, batch: Batch, masks: Masks, total: int) -> Any:
    return NumPyTrainer.differentiate(self, batch, masks, len(batch.labels))


@plant("counted", "test_losses_of_auxiliary_heads_are_added", 0.0)
def the_main_loss_alone(self: NumPyTrainer) -> dict[str, float]:
    return {self.graph.outputs[0]: 1.0}


@plant("counted", "test_losses_of_auxiliary_heads_are_added", 0.0)
def heads_count_whole(self: NumPyTrainer) -> dict[str, float]:
    return dict.fromkeys(self.graph.outputs, 1.0)


@plant("loss", "test_losses_of_auxiliary_heads_are_added", 0.1)
def heads_unsmoothed(self: NumPyTrainer, logits: Array, batch: Batch, total: int, smoothing: float) -> Any:
    return NumPyTrainer.loss(self, logits, batch, total, 0.0)


@plant("backward", "test_losses_of_auxiliary_heads_are_added", 0.0)
def heads_lead_nowhere(self: NumPyTrainer, values: Any, masks: Masks, slopes: Any) -> Any:
    """The loss of a head is reported, but its gradient is not followed."""
    main = self.graph.outputs[0]
    return NumPyTrainer.backward(self, values, masks, {main: slopes[main]})


@plant("input", "test_loss_and_statistics_are_those_of_the_ops", 0.0)
def unshifted(self: NumPyTrainer, inputs: Array, shifts: Array | None = None, *, training: bool = False) -> Array:
    return NumPyTrainer.input(self, inputs, training=training)


@plant("forward", "test_loss_and_statistics_are_those_of_the_ops", 0.0)
def statistics_at_rest(self: NumPyTrainer, x: Array, masks: Masks) -> Any:
    return NumPyTrainer.forward(self, x, masks)[0], {}


@plant("differentiate", "test_loss_and_statistics_are_those_of_the_ops", 0.1)
def unsmoothed(self: NumPyTrainer, *given: Any) -> Any:
    loss = self.settings.recipe.loss.model_copy(update={"label_smoothing": 0.0})
    self.settings = replace(self.settings, recipe=self.settings.recipe.model_copy(update={"loss": loss}))
    return NumPyTrainer.differentiate(self, *given)


@plant("step", "test_gradient_is_the_slope_of_the_loss")
def given_after_clipping(self: NumPyTrainer, *given: Any, **options: Any) -> StepResult:
    result = NumPyTrainer.step(self, *given, **options)
    norm = self.settings.recipe.clip_gradient_norm
    return replace(result, gradients=result.gradients and clip(result.gradients, norm))


@plant("own", "test_gradient_is_the_slope_of_the_loss")
def weights_of_the_step_before(self: NumPyTrainer, node: Node) -> dict[str, Array]:
    self.first = getattr(self, "first", self.state)
    return {name: self.first.weights[f"{node.name}.{name}"] for name in node.weights}


@plant("predict", "test_predict_is_what_the_model_gives")
def still_training(self: NumPyTrainer, inputs: Array) -> Array:
    labels = np.zeros(len(inputs), np.int64)
    masks = self.masks(Batch(inputs, labels, labels), 0, 0)
    return self.forward(self.input(inputs), {name: np.ones_like(mask) for name, mask in masks.items()})[0]["fc2"]


@plant("step", "test_a_batch_without_samples_has_no_part")
def a_mean_over_batches(
    self: NumPyTrainer, batches: Sequence[Batch], rate: float, total: int, *given: Any, **options: Any
) -> StepResult:
    return NumPyTrainer.step(self, batches, rate, total * len(batches), *given, **options)
