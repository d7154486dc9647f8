"""What rounding alone becomes in a training, measured: no two frameworks are closer than one of them is to itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from netspec.lowering import Trainer, TrainingState
from netspec.lowering.trainer import ITERATE
from netspec.training.network import classes_of
from netspec.types import DType
from netspec.verify.compare import LOSS_TOLERANCE
from netspec.verify.rounding import moved
from netspec.verify.training.case import TrainingCase
from netspec.verify.training.state import loss_error, shares, state_gaps

# By how much each weight is moved, and all of one together, in units of the last place: at most by 512 in all. Another
# order of summation rounds a sum of thousands of terms by tens of units, and a network is many sums: PyTorch and
# TensorFlow were seen as far apart as 80 units in the weights take PyTorch from itself (MobileNet v2, 64 × 64). TF32 is
# some 4,000 units off.
UNITS = 256
TWINS = 2  # how often it is measured: one alone can come near to where it was by chance, its loss above all
# Where rounding becomes more than this, a comparison says next to nothing, and none is made.
MOST = {DType.FLOAT64: 1e-5, DType.FLOAT32: 1e-2}


class Rounding:
    """What two runs may differ by: what is tolerated, or where a training does not stay so near to itself, that.

    It is measured when runs have parted: by twins of the first of them, the same training from weights that are all but
    the same. In most networks they stay where it is, to 1e-12 for AlexNet. But batch statistics of a few values divide
    by next to nothing, gradients multiply that from layer to layer, and steps carry it on. Runs that have parted no
    further than twins begin each further step from one state, so that a step's rounding is all that is allowed for.

    Args:
        case: what is trained, in the dtype in which it is.
        make: a trainer of it, at the beginning.
        tolerance: of weights and of what the optimizer keeps.
    """

    def __init__(self, case: TrainingCase, make: Callable[[], Trainer], tolerance: float) -> None:
        self._case, self._make = case, make
        self._dtype = case.graph.dtype
        self.tolerances = (LOSS_TOLERANCE[self._dtype], tolerance)
        self._twins: list[Trainer] = []
        self._next = 0  # the step that they take next
        self.since: int | None = None  # the step, counted from 0, after which each begins from one state
        self.lost: int | None = None  # the step, counted from 0, from which on nothing is compared
        self._farthest = self._limits = self.tolerances

    def limits(
        self, step: int, loss: float, state: TrainingState | None, progress: Callable[[], None]
    ) -> tuple[float, float]:
        """What losses, and weights and slots, may differ by after a step: what is tolerated where twins are not finite.

        Args:
            step: counted from 0.
            loss: of the first run in this step.
            state: of the first run after it; None where losses alone are compared.
            progress: called before each step that is taken to find out.
        """
        case = self._case
        self._twins = self._twins or self._made()
        received = [loss] * TWINS
        for index in range(self._next, step + 1):
            progress()
            given = case.batches(index), case.rate(index), case.total(index), index
            received = [twin.step(*given).loss for twin in self._twins]
        self._next = step + 1
        losses = [loss_error(one, loss, classes_of(case.graph)) for one in received]
        gaps = [shares(state_gaps(twin.export_state(), state)) for twin in self._twins] if state else []
        seen = max(losses), max((error for found in gaps for error in found.values()), default=0.0)
        if all(map(math.isfinite, seen)):
            self._limits = max(self._limits[0], seen[0]), max(self._limits[1], seen[1])
            self._farthest = max(self._farthest[0], seen[0]), max(self._farthest[1], seen[1])
        if max(self._limits) > MOST[self._dtype]:
            self.lost = step
        return self._limits

    def _made(self) -> list[Trainer]:
        twins = [self._make() for _ in range(TWINS)]
        self._move(twins, twins[0].export_state())
        return twins

    def join(self, step: int, state: TrainingState) -> None:
        """Go on from next to this state of the first run, that after this step: so all others do."""
        self._move(self._twins, state)
        self._next = step + 1
        if self.since is None:  # what many steps became allows for more than one step does
            self.since, self._limits = step, self.tolerances

    def _move(self, twins: Sequence[Trainer], state: TrainingState) -> None:
        for number, twin in enumerate(twins):
            # Of an average of weights, what it is the average of too: that is what is trained.
            own = {slot: moved(state.slots[slot], self._dtype, UNITS, number) for slot in {ITERATE} & set(state.slots)}
            weights = moved(state.weights, self._dtype, UNITS, number)
            twin.import_state(replace(state, weights=weights, slots=state.slots | own))

    @property
    def notes(self) -> list[str]:
        """That limits were raised, and to what, or that nothing is compared; empty where nobody asked."""
        if self._farthest == self.tolerances:
            return []
        share = 2 * UNITS * float(np.finfo(self._dtype.numpy).eps)
        far = [
            f"{limit:.0e} in {what}"
            for what, limit, tolerance in zip(("losses", "weights"), self._farthest, self.tolerances, strict=True)
            if limit > tolerance
        ]
        told = (
            f"this network multiplies rounding: {share:.0e} of its weights became {' and '.join(far)} in {self._dtype}"
        )
        if self.lost is not None:
            return [f"{told}; nothing is compared from step {self.lost + 1} on"]
        if self.since is not None:
            told += f"; runs may be as far apart, and after step {self.since + 1} each step is from one state"
        return [told]

    def close(self) -> None:
        """Release what it trains with."""
        for twin in self._twins:
            twin.close()
