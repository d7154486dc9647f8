"""Trainers that misread maps of labels, one way each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from netspec.lowering import Batch, StepResult
from netspec.lowering.batch import UNLABELLED
from netspec.ops.base import Array
from tests.testing.numpy_trainer import NumPyTrainer
from tests.testing.planting import Planted, planter

FAULTS: list[Planted] = []
plant = planter(FAULTS)


OF_A_MAP = "test_loss_of_a_map_is_the_mean_over_its_labelled_pixels"


@plant("loss", OF_A_MAP, 0.0, True)
def pixels_count_alike(self: NumPyTrainer, logits: Array, batch: Batch, total: int, smoothing: float) -> Any:
    return NumPyTrainer.loss(self, logits, replace(batch, weights=None), total, smoothing)


@plant("shares", OF_A_MAP, 0.0, False)
@plant("shares", OF_A_MAP, 0.1, True)
def over_all_pixels(self: NumPyTrainer, labels: Array) -> Array:
    return (labels != UNLABELLED) / np.prod(labels.shape[1:])


@plant("shares", OF_A_MAP, 0.0, False)
@plant("shares", "test_maps_of_several_batches_add_up")
def the_last_class_where_nothing_is_known(self: NumPyTrainer, labels: Array) -> Array:
    return np.full(labels.shape, 1 / np.prod(labels.shape[1:]))


@plant("missed", OF_A_MAP, 0.0, False)
def whatever_is_not_labelled_is_missed(self: NumPyTrainer, logits: Array, batch: Batch) -> float:
    wrong = logits.argmax(axis=1) != batch.labels
    return float(wrong.mean(axis=tuple(range(1, wrong.ndim))).sum())


@plant("predict", "test_a_map_is_predicted_as_the_model_gives_it")
def maps_channels_last(self: NumPyTrainer, inputs: Array) -> Array:
    return np.moveaxis(NumPyTrainer.predict(self, inputs), 1, -1)


@plant("step", "test_maps_that_do_not_fit_are_refused")
def whatever_fits_of_a_map(self: NumPyTrainer, batches: Sequence[Batch], *given: Any, **options: Any) -> StepResult:
    cut = [replace(b, labels=np.resize(b.labels, (len(b.inputs), *self.logits[1:])), weights=None) for b in batches]
    return NumPyTrainer.step(self, cut, *given, **options)
