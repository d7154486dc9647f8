"""Error limits for a training, raised where rounding itself grows beyond the tolerance."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from netspec.graph.training import classes_of
from netspec.lowering import Trainer, TrainingState
from netspec.lowering.trainer import ITERATE
from netspec.types import DType
from netspec.verify.compare import LOSS_TOLERANCE
from netspec.verify.rounding import is_rounding_alone, moved
from netspec.verify.training.case import EPOCH, TrainingCase
from netspec.verify.training.state import Subject, loss_error, shares, state_gaps

# The size of the perturbation of weights, in units of the last place: each element is moved by this much, and in
# addition all elements of an array together, 512 units at most in all. Another order of summation moves a sum of
# thousands of terms by tens of units, and a network has many sums: PyTorch and TensorFlow were seen as far apart as
# PyTorch is from itself with weights perturbed by 80 units (MobileNet v2, 64 × 64). TF32 is off by about 4,000 units.
UNITS = 256
TWINS = 2  # perturbed trainings: a single one can end up near the original by chance, above all in its loss
# If rounding grows beyond this, a comparison would mean next to nothing, and none is made.
MOST = {DType.FLOAT64: 1e-5, DType.FLOAT32: 1e-2}


class Rounding:
    """The error limits of a training: the tolerances, or the effect of rounding if that is larger.

    No two frameworks can be closer than one of them is to itself. Once runs differ by more than the tolerances, the
    effect of rounding is measured by twins: the training of the first backend, repeated with perturbed weights. In most
    networks they stay close to it, within 1e-12 for AlexNet. But batch statistics of few values divide by almost zero,
    gradients multiply the error from layer to layer, and steps accumulate it. Runs that differ no more than the twins
    do are then restarted from a common state in each further step, so that only the rounding of one step is allowed.

    Attributes:
        noise: the weights and slots that twins have shown to be rounding alone, and no more of it than the tolerance
            allows. They are compared as shares of the largest.
        tolerances: the limits of losses, and of weights and slots, before any effect of rounding is measured.
        since: the step, counted from 0, after which every step starts from a common state; None while there is none.
        lost: the step, counted from 0, from which on nothing is compared; None while everything is.

    Args:
        case: the training, in the dtype in which it is compared.
        make_trainer: creates a trainer of the first backend in the initial state.
        tolerance: the tolerance of weights and slots.
    """

    def __init__(self, case: TrainingCase, make_trainer: Callable[[], Trainer], tolerance: float) -> None:
        self._case, self._make_trainer = case, make_trainer
        self._dtype = case.graph.dtype
        self.noise: set[Subject] = set()
        self.tolerances = (LOSS_TOLERANCE[self._dtype], tolerance)
        self.since: int | None = None
        self.lost: int | None = None
        self._twins: list[Trainer] = []
        self._next_step = 0  # of the twins
        self._farthest = self._limits = self.tolerances

    def limits(
        self, step: int, loss: float, state: TrainingState | None, progress: Callable[[], None]
    ) -> tuple[float, float]:
        """The limits of losses, and of weights and slots, after a step. Twins that are not finite do not raise them.

        Args:
            step: the step, counted from 0.
            loss: the loss of the first run in this step.
            state: the state of the first run after this step; None if only losses are compared.
            progress: called before each step of the twins.
        """
        case = self._case
        self._twins = self._twins or self._make_twins()
        losses = [loss] * TWINS
        for index in range(self._next_step, step + 1):
            progress()
            arguments = case.batches(index), case.rate(index), case.total(index), index
            for twin in self._twins if index % EPOCH == 0 and case.has_curvature else ():
                twin.import_state(case.with_curvature(twin.export_state(), index))
            losses = [twin.step(*arguments).loss for twin in self._twins]
        self._next_step = step + 1
        loss_effect = max(loss_error(twin_loss, loss, classes_of(case.reader)) for twin_loss in losses)
        gaps = [state_gaps(twin.export_state(), state) for twin in self._twins] if state else []
        for each in gaps:
            alone = {subject for subject, gap in each.items() if is_rounding_alone(gap.difference, gap.largest)}
            errors = shares(each, alone)
            self.noise |= {subject for subject in alone if errors[subject] <= self.tolerances[1]}
        state_effect = max((error for each in gaps for error in shares(each, self.noise).values()), default=0.0)
        if math.isfinite(loss_effect) and math.isfinite(state_effect):
            self._limits = max(self._limits[0], loss_effect), max(self._limits[1], state_effect)
            self._farthest = max(self._farthest[0], loss_effect), max(self._farthest[1], state_effect)
        if max(self._limits) > MOST[self._dtype]:
            self.lost = step
        return self._limits

    def _make_twins(self) -> list[Trainer]:
        twins = [self._make_trainer() for _ in range(TWINS)]
        self._perturb(twins, twins[0].export_state())
        return twins

    def restart(self, step: int, state: TrainingState) -> None:
        """Continue the twins after a step from the perturbed state of the first run, as all runs continue from it."""
        self._perturb(self._twins, state)
        self._next_step = step + 1
        if self.since is None:  # the limits so far allow for many steps, those from now on for one
            self.since, self._limits = step, self.tolerances

    def _perturb(self, twins: Sequence[Trainer], state: TrainingState) -> None:
        for number, twin in enumerate(twins):
            weights = moved(state.weights, self._dtype, UNITS, number)
            slots = dict(state.slots)
            if ITERATE in slots:  # the weights are averages, and these are what is trained
                slots[ITERATE] = moved(slots[ITERATE], self._dtype, UNITS, number)
            twin.import_state(replace(state, weights=weights, slots=slots))

    @property
    def notes(self) -> list[str]:
        """Notes on raised limits or steps that are not compared, and on what is of rounding alone, if there is any."""
        noise = ", ".join(map(str, sorted(self.noise)))
        named = [f"of rounding alone, and so compared as a share of the largest: {noise}"] if noise else []
        return [*self._note_on_limits(), *named]

    def _note_on_limits(self) -> list[str]:
        if self._farthest == self.tolerances:
            return []
        share = 2 * UNITS * float(np.finfo(self._dtype.numpy).eps)
        effects = [
            f"{limit:.0e} in {what}"
            for what, limit, tolerance in zip(("losses", "weights"), self._farthest, self.tolerances, strict=True)
            if limit > tolerance
        ]
        note = (
            f"this network amplifies rounding: a change of its weights by {share:.0e} became {' and '.join(effects)} "
            f"in {self._dtype}"
        )
        if self.lost is not None:
            return [f"{note}; nothing is compared from step {self.lost + 1} on"]
        if self.since is not None:
            note += f"; runs may differ as much, and after step {self.since + 1} each step starts from a common state"
        return [note]

    def close(self) -> None:
        """Release the twins."""
        for twin in self._twins:
            twin.close()
