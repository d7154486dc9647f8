"""Is training one run everywhere? Its backends step by step against one another, and against the update in NumPy."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

from netspec.errors import VerificationError
from netspec.graph import Graph
from netspec.lowering import Backend, StepResult, Trainer, TrainingState
from netspec.ops.base import Weights
from netspec.recipe import Recipe
from netspec.training.network import classes_of
from netspec.types import DType
from netspec.verify.compare import STATE_TOLERANCE, Comparison
from netspec.verify.report import LOSS, NodeError, Report, TrainingDivergence, Unfinished
from netspec.verify.training.case import STEPS, TrainingCase, check_recipes, measured
from netspec.verify.training.rounding import Rounding
from netspec.verify.training.state import THE_LOSS, Subject, gap_of, loss_error, shares, state_gaps, update_gaps
from netspec.verify.training.trap import trap_of

NUMPY = "NumPy"
MOVED = 10 * STATE_TOLERANCE  # of its largest: what a weight has to move by for its comparison to say something
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class TrainingProof:
    """What a report takes over from a comparison of training."""

    comparisons: list[Comparison] = field(default_factory=list)
    divergences: list[TrainingDivergence] = field(default_factory=list)
    unfinished: list[Unfinished] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def report(
        self, name: str, comparisons: Sequence[Comparison], nodes: Sequence[NodeError], notes: Sequence[str]
    ) -> Report:
        """The report of a network's other comparisons, and then of these."""
        return Report(
            name,
            (*comparisons, *self.comparisons),
            tuple(nodes),
            (*notes, *self.notes),
            tuple(self.divergences),
            tuple(self.unfinished),
        )


def compare_training(
    graph: Graph,
    backends: Sequence[Backend],
    weights: Weights,
    recipe: Recipe | None = None,
    seed: int = 0,
    progress: Progress = lambda _: None,
    *,
    tolerance: float = STATE_TOLERANCE,
) -> TrainingProof:
    """Train for twenty steps in each backend: by the paper's rule, and by the recipe's where that is another.

    Args:
        graph: of `training_graph`, float32.
        backends: that train in float64. One alone is held to NumPy's update.
        weights: canonical, to begin with.
        recipe: the spec's own.
        seed: of samples, labels and dropout masks.
        progress: called with what is about to be done.
        tolerance: of weights and of what the optimizer keeps, in float64.

    Raises:
        VerificationError: at these weights there is nothing to learn, or nothing moves: nothing would be proved.
    """
    proof = TrainingProof()
    for rule in check_recipes(recipe, [head.name for head in graph.heads]):
        progress(f"training, a rate for {rule.optimizer.name}, {backends[0].name}")
        case = measured(TrainingCase(graph, weights, rule, seed), backends[0])
        proof.notes.append(f"training: {case.rule}")
        parted: dict[tuple[str, str], TrainingDivergence] = {}
        for dtype in (DType.FLOAT64, DType.FLOAT32) if len(backends) > 1 else (DType.FLOAT64,):
            run = Lockstep(case, dtype, backends, tolerance)
            proof.notes.extend(run.finish(progress))
            proof.unfinished.extend(run.unfinished())
            proof.comparisons.extend(row for pair in run.pairs.values() for row in pair.rows())
            parted |= {who: pair.divergence for who, pair in run.pairs.items() if pair.divergence and who not in parted}
        proof.divergences.extend(without_consequences(parted))
    alone = (
        f"{backends[0].name} is the only one here that trains in float64: its updates are compared with {NUMPY}'s, its "
        "losses and running statistics with none"
    )
    proof.notes.append("training in float32 is at a tenth of these rates" if len(backends) > 1 else alone)
    return proof


def without_consequences(parted: Mapping[tuple[str, str], TrainingDivergence]) -> list[TrainingDivergence]:
    """The divergences but those of two runs that come from a wrong update in one of them."""
    wrong = {name: found.step for (name, against), found in parted.items() if against == NUMPY}

    def comes_from(name: str, found: TrainingDivergence) -> bool:
        return wrong.get(name, math.inf) <= found.step - (found.subject == LOSS)  # a loss is that of the step before

    return [
        found
        for (name, against), found in parted.items()
        if against == NUMPY or not (comes_from(name, found) or comes_from(against, found))
    ]


class Pair:
    """A backend and what it is held to, until they part."""

    def __init__(self, case: TrainingCase, dtype: DType, backend: str, against: str) -> None:
        self._case, self._dtype, self._backend, self._against = case, dtype, backend, against
        self._worst: dict[bool, Comparison] = {}  # of losses, and of weights and slots
        self.divergence: TrainingDivergence | None = None

    def hold(self, step: int, errors: Mapping[Subject, float], tolerance: float) -> None:
        """Take the errors after a step, counted from 0, into account; nothing counts after the first divergence."""
        if self.divergence is not None:
            return
        subject, error = max(errors.items(), key=lambda item: item[1])
        found = Comparison(
            "training",
            self._backend,
            self._against,
            self._dtype,
            self._case.label,
            f"{subject}, step {step + 1}",
            error,
            tolerance,
        )
        worst = self._worst.setdefault(subject == THE_LOSS, found)
        if error / tolerance > worst.error / worst.tolerance:
            self._worst[subject == THE_LOSS] = found
        if not found.passed:
            failed = [other for other, share in errors.items() if not share <= tolerance]
            trap = trap_of(self._case, self._dtype, step, failed, of_rule=self._against == NUMPY)
            self.divergence = TrainingDivergence(
                self._backend, self._against, self._dtype, step + 1, *subject, error, tolerance, trap
            )

    def rows(self) -> list[Comparison]:
        """The worst figure of losses, and that of weights and slots."""
        return list(self._worst.values())


class Lockstep:
    """Trainers of several backends that take the same steps, compared after each.

    In float64 every weight and slot is compared, in float32 the losses alone: rounding is part of the weights there.

    Attributes:
        pairs: by backend and what it is held to.
    """

    def __init__(
        self, case: TrainingCase, dtype: DType, backends: Sequence[Backend], tolerance: float = STATE_TOLERANCE
    ) -> None:
        self._case, self._dtype, self._backends = case.in_dtype(dtype), dtype, backends
        self._graph, self._tolerance = self._case.graph, tolerance
        self._trained = [name for name, weight in self._graph.weights.items() if weight.trainable]
        self._whole = dtype is DType.FLOAT64
        self._rounding = Rounding(self._case, partial(self._trainer, backends[0]), tolerance)
        self._trainers: dict[str, Trainer] = {}
        self._states: dict[str, TrainingState] = {}  # in float64
        first, *others = (b.name for b in backends)
        held = [(name, NUMPY) for name in (first, *others)] if self._whole else []
        self.pairs = {who: Pair(case, dtype, *who) for who in [*held, *((name, first) for name in others)]}

    def _trainer(self, backend: Backend) -> Trainer:
        return backend.trainer(self._graph, self._case.weights, self._case.settings)

    def finish(self, progress: Progress) -> list[str]:
        """Take all steps; gives what is to be noted of them.

        Raises:
            VerificationError: no weight moved, or rounding becomes so much in one step that nothing can be compared.
        """
        start = {name: array.astype(self._dtype.numpy) for name, array in self._case.weights.items()}
        self._states = {backend.name: TrainingState(start) for backend in self._backends}
        with ExitStack() as stack:
            stack.callback(self._rounding.close)
            for backend in self._backends:
                progress(f"training, loading {backend.name} {self._dtype}")
                self._trainers[backend.name] = self._trainer(backend)
                stack.callback(self._trainers[backend.name].close)
            for step in range(STEPS):
                losses = self._step(step, progress)
                self._compare(step, losses, progress)
        still = self._still(start, self._states[self._backends[0].name].weights) if self._whole else []
        return [*still, *self._rounding.notes]

    def unfinished(self) -> list[Unfinished]:
        """How far the backends were compared with one another, where that was not to the end."""
        lost = self._rounding.lost
        return [] if lost is None else [Unfinished(self._dtype, lost, STEPS)]

    def _step(self, step: int, progress: Progress) -> dict[str, float]:
        """One step in each backend, in float64 held to NumPy's update; gives the losses."""
        case, whole = self._case, self._whole
        batches, rate, total = case.batches(step), case.rate(step), case.total(step)
        losses: dict[str, float] = {}
        for name, trainer in self._trainers.items():
            progress(self._stage(name, step))
            result = trainer.step(batches, rate, total, step, keep_gradients=whole)
            losses[name] = result.loss
            if whole:
                before, self._states[name] = self._states[name], trainer.export_state()
                if self.pairs[name, NUMPY].divergence is None:
                    errors = self._update_errors(before, result, rate, self._states[name])
                    self.pairs[name, NUMPY].hold(step, errors, self._tolerance)
        return losses

    def _stage(self, name: str, step: int) -> str:
        return f"training, {self._case.recipe.optimizer.name}, {name} {self._dtype}, step {step + 1} of {STEPS}"

    def _compare(self, step: int, losses: Mapping[str, float], progress: Progress) -> None:
        """Hold what a step made to what the first backend's made; where rounding parts them, let all begin anew."""
        rounding, first = self._rounding, self._backends[0].name
        found = {} if rounding.lost is not None else self._errors(first, losses)
        limits = rounding.tolerances
        if any(_beyond(errors, limits) for errors in found.values()):
            say = partial(progress, f"{self._stage(first, step)}, and again, to see what rounding becomes")
            limits = rounding.limits(step, losses[first], self._states[first] if self._whole else None, say)
        for pair, errors in found.items():
            if rounding.lost is None or _beyond(errors, limits):
                for these, limit in zip(errors, limits, strict=False):
                    pair.hold(step, these, limit)
        if step == rounding.lost == 0 and self._whole and not any(pair.divergence for pair in found):
            raise VerificationError(
                f"{self._graph.name}: {'; '.join(rounding.notes)}: nothing is proved",
                "verify it at a larger input: batch statistics of few values divide by next to nothing",
            )
        if rounding.lost is None and (limits != rounding.tolerances or rounding.since is not None):
            self._begin_anew(step)

    def _errors(self, first: str, losses: Mapping[str, float]) -> dict[Pair, list[dict[Subject, float]]]:
        """Of each pair that has not parted: that of the loss, and in float64 those of the state."""
        found: dict[Pair, list[dict[Subject, float]]] = {}
        for name, loss in losses.items():
            pair = self.pairs.get((name, first))
            if pair is not None and pair.divergence is None:
                found[pair] = [{THE_LOSS: loss_error(loss, losses[first], classes_of(self._graph))}]
                if self._whole:
                    found[pair].append(shares(state_gaps(self._states[name], self._states[first])))
        return found

    def _begin_anew(self, step: int) -> None:
        """Give all the state that the first backend is in."""
        first, *others = self._trainers
        state = self._states[first] if self._whole else self._trainers[first].export_state()
        for name in others:
            self._trainers[name].import_state(state)
            self._states[name] = state
        self._rounding.join(step, state)

    def _update_errors(
        self, before: TrainingState, result: StepResult, rate: float, after: TrainingState
    ) -> dict[Subject, float]:
        """Of every weight that is trained, and of its slots; one without a gradient is infinitely far off."""
        missing = {Subject(name): math.inf for name in self._trained if name not in (result.gradients or {})}
        return missing | shares(update_gaps(self._case.recipe, before, result.gradients or {}, rate, after))

    def _still(self, start: Weights, end: Weights) -> list[str]:
        """What did not move, to be noted: of a weight whose derivative is zero on paper there is little to compare."""
        learning = [name for name in self._trained if self._case.recipe.override_of(name).lr_scale]
        still = [name for name in learning if gap_of(end[name], start[name]).share() < MOVED]
        if len(still) == len(learning):
            raise VerificationError(
                f"{self._graph.name}: no weight moved by {MOVED:.0e} of its largest in {STEPS} steps of training, "
                "so nothing is proved"
            )
        if not still:
            return []
        return [f"{self._case.recipe.optimizer.name} hardly moves {', '.join(still)}, so little is proved of it"]


def _beyond(errors: Sequence[Mapping[Subject, float]], limits: Sequence[float]) -> bool:
    return any(max(these.values()) > limit for these, limit in zip(errors, limits, strict=False))
