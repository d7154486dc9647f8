"""Trainers that misread mixed samples, one way each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from netspec.lowering import Batch, StepResult
from netspec.ops.base import Array
from tests.testing.numpy_trainer import NumPyTrainer
from tests.testing.planting import Planted, planter

FAULTS: list[Planted] = []
plant = planter(FAULTS)


MIXED = "test_the_loss_of_mixed_samples_is_that_of_their_shares"


@plant("targets", MIXED, 0.0)
def shares_swapped(self: NumPyTrainer, batch: Batch, smoothing: float) -> Array:
    return NumPyTrainer.targets(self, replace(batch, shares=1 - batch.shares), smoothing)


@plant("targets", MIXED, 0.0)
def partners_ignored(self: NumPyTrainer, batch: Batch, smoothing: float) -> Array:
    return NumPyTrainer.targets(self, replace(batch, partners=None, shares=None), smoothing)


@plant("targets", MIXED, 0.0)
def partners_ignored_and_their_share_lost(self: NumPyTrainer, batch: Batch, smoothing: float) -> Array:
    return batch.shares[:, None] * partners_ignored(self, batch, smoothing)


@plant("targets", MIXED, 0.1)
def the_label_alone_smoothed(self: NumPyTrainer, batch: Batch, smoothing: float) -> Array:
    own = batch.shares[:, None] * partners_ignored(self, batch, smoothing)
    return own + (1 - batch.shares[:, None]) * np.eye(self.classes)[batch.partners]


@plant("loss", MIXED, 0.0)
def heads_of_the_label_alone(self: NumPyTrainer, logits: Array, batch: Batch, total: int, smoothing: float) -> Any:
    """The loss of the second output ignores the partners."""
    self.asked = getattr(self, "asked", 0) + 1
    plain = replace(batch, partners=None, shares=None)
    return NumPyTrainer.loss(self, logits, plain if self.asked == 2 else batch, total, smoothing)


@plant("differentiate", MIXED, 0.0)
def missed_by_the_partners(self: NumPyTrainer, batch: Batch, *given: Any) -> Any:
    result, statistics = NumPyTrainer.differentiate(self, batch, *given)
    other, _ = NumPyTrainer.differentiate(self, replace(batch, labels=batch.partners), *given)
    return replace(result, wrong=other.wrong), statistics


@plant("input", MIXED, 0.0)
def of_whole_pixels(self: NumPyTrainer, inputs: Array, shifts: Array | None = None, *, training: bool = False) -> Array:
    return NumPyTrainer.input(self, inputs.astype(np.uint8), shifts, training=training)


@plant("input", MIXED, 0.0)
def normalized_in_place(
    self: NumPyTrainer, inputs: Array, shifts: Array | None = None, *, training: bool = False
) -> Array:
    x = NumPyTrainer.input(self, inputs, shifts, training=training)
    inputs[...] = x.transpose(0, 2, 3, 1)
    return x


@plant("step", "test_mixed_batches_go_beside_others")
def mixed_as_the_first(self: NumPyTrainer, batches: Sequence[Batch], *given: Any, **options: Any) -> StepResult:
    """A batch counts as mixed if the first one of the step is."""
    mixed = batches[0].partners is not None
    plain = [b if mixed else replace(b, partners=None, shares=None) for b in batches]
    return NumPyTrainer.step(self, plain, *given, **options)


@plant("loss", "test_the_gradient_of_mixed_samples_is_the_slope_of_their_loss")
def followed_to_the_label_alone(self: NumPyTrainer, logits: Array, batch: Batch, *given: Any) -> Any:
    """The loss of both labels is reported, but the gradient is that of one."""
    loss, _ = NumPyTrainer.loss(self, logits, batch, *given)
    return loss, NumPyTrainer.loss(self, logits, replace(batch, partners=None, shares=None), *given)[1]


@plant("input", "test_mixed_batches_that_do_not_fit_are_refused")
def of_any_dtype(self: NumPyTrainer, inputs: Array, shifts: Array | None = None, *, training: bool = False) -> Array:
    return NumPyTrainer.input(self, inputs.astype(np.float32) if training else inputs, shifts, training=training)
