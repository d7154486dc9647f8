"""Trainers that are wrong in what adversarial training needs of them, one way each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from netspec import reference
from netspec.lowering import Batch, InputGradients, StepResult
from netspec.ops.base import Array
from tests.testing.numpy_trainer import Masks, NumPyTrainer
from tests.testing.planting import Planted, planter

FAULTS: list[Planted] = []
plant = planter(FAULTS)


@plant("outputs", "test_outputs_in_training_change_nothing")
def statistics_follow_the_outputs(self: NumPyTrainer, batches: Sequence[Batch], key: int) -> tuple[Array, ...]:
    for position, batch in enumerate(batches):
        x = self.input(batch.inputs, batch.shifts, training=True)
        _, statistics = self.forward(x, self.masks(batch, key, position))
        self.state = replace(self.state, weights=self.state.weights | statistics)
    return NumPyTrainer.outputs(self, batches, key)


@plant("outputs", "test_outputs_in_training_change_nothing")
def outputs_at_inference(self: NumPyTrainer, batches: Sequence[Batch], key: int) -> tuple[Array, ...]:
    inputs = [self.input(batch.inputs, batch.shifts, training=True) for batch in batches]
    name = self.graph.inputs[0].name
    return tuple(next(iter(reference.evaluate(self.graph, self.state.weights, {name: x}).values())) for x in inputs)


@plant("outputs", "test_outputs_are_those_of_the_step_with_their_key")
def each_batch_as_if_it_were_the_first(self: NumPyTrainer, batches: Sequence[Batch], key: int) -> tuple[Array, ...]:
    return tuple(output for batch in batches for output in NumPyTrainer.outputs(self, [batch], key))


@plant("input_gradients", "test_gradients_in_the_input_are_the_slope_of_the_loss")
def divided_by_the_samples(self: NumPyTrainer, batches: Sequence[Batch], key: int) -> InputGradients:
    found = NumPyTrainer.input_gradients(self, batches, key)
    return replace(found, inputs=tuple(each / len(each) for each in found.inputs))


@plant("input_gradients", "test_gradients_in_the_input_are_the_slope_of_the_loss")
def statistics_follow_the_gradients(self: NumPyTrainer, batches: Sequence[Batch], key: int) -> InputGradients:
    found = NumPyTrainer.input_gradients(self, batches, key)
    NumPyTrainer.step(self, batches, 0.0, 1, key)
    return found


@plant("input_gradients", "test_gradients_of_images_are_those_of_the_normalized_input")
def in_pixels(self: NumPyTrainer, batches: Sequence[Batch], key: int) -> InputGradients:
    found, fixed = NumPyTrainer.input_gradients(self, batches, key), self.settings.normalization
    return found if fixed is None else replace(found, inputs=tuple(each * fixed.factor for each in found.inputs))


@plant("differentiate", "test_a_step_follows_given_cotangents")
def cotangents_of_the_mean(
    self: NumPyTrainer, batch: Batch, masks: Masks, total: int
) -> tuple[StepResult, dict[str, Array]]:
    return NumPyTrainer.differentiate(self, batch, masks, len(batch.labels) if batch.cotangents is not None else total)


@plant("step", "test_cotangents_that_do_not_fit_are_refused")
def cotangents_of_any_shape(
    self: NumPyTrainer, batches: Sequence[Batch], rate: float, total: int, key: int, *, keep_gradients: bool = False
) -> StepResult:
    fitting = [
        b if b.cotangents is None else replace(b, cotangents=np.resize(b.cotangents, (len(b.labels), *self.logits)))
        for b in batches
    ]
    return NumPyTrainer.step(self, fitting, rate, total, key, keep_gradients=keep_gradients)
