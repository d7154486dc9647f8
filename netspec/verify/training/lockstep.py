"""The check that training is the same everywhere: backends, step by step, against one another and the NumPy update."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from netspec.errors import VerificationError
from netspec.graph import Graph
from netspec.graph.training import classes_of
from netspec.lowering import Backend, StepResult, Trainer, TrainingState
from netspec.ops.base import Weights
from netspec.progress import Progress, silent
from netspec.recipe import Recipe
from netspec.training.adversarial import DISCRIMINATOR_PREFIX, Opponent, divided, divided_state, joined
from netspec.types import DType
from netspec.verify.cases import cases_of, weights_for
from netspec.verify.compare import STATE_TOLERANCE, Comparison
from netspec.verify.report import LOSS, NodeError, Report, TrainingDivergence, Unfinished
from netspec.verify.training.case import EPOCH, STEPS, TrainingCase, check_recipes, checked_rule, measured
from netspec.verify.training.rounding import Rounding
from netspec.verify.training.state import THE_LOSS, Subject, gap_of, loss_error, shares, state_gaps, update_gaps
from netspec.verify.training.trap import trap_of

NUMPY = "NumPy"
MOVED = 10 * STATE_TOLERANCE  # the share of its largest element by which a weight must move to be a meaningful check


@dataclass(frozen=True, slots=True)
class TrainingProof:
    """The results of a comparison of training, which become part of a report."""

    comparisons: tuple[Comparison, ...] = ()
    divergences: tuple[TrainingDivergence, ...] = ()
    unfinished: tuple[Unfinished, ...] = ()
    notes: tuple[str, ...] = ()

    def __add__(self, other: TrainingProof) -> TrainingProof:
        return TrainingProof(
            self.comparisons + other.comparisons,
            self.divergences + other.divergences,
            self.unfinished + other.unfinished,
            self.notes + other.notes,
        )

    def report(
        self, name: str, comparisons: Sequence[Comparison], nodes: Sequence[NodeError], notes: Sequence[str]
    ) -> Report:
        """A report with the other comparisons of a network, followed by these results."""
        return Report(
            name,
            (*comparisons, *self.comparisons),
            tuple(nodes),
            (*notes, *self.notes),
            self.divergences,
            self.unfinished,
        )


def compare_training(
    graph: Graph,
    backends: Sequence[Backend],
    weights: Weights,
    recipe: Recipe | None = None,
    seed: int = 0,
    progress: Progress = silent,
    *,
    tolerance: float = STATE_TOLERANCE,
    opponent: Opponent | None = None,
) -> TrainingProof:
    """Train twenty steps in each backend and compare: with the paper's rule, and with the recipe's if it is another.

    Args:
        graph: the training graph, float32.
        backends: backends that train in float64. A single one is compared with the NumPy update only.
        weights: canonical initial weights.
        recipe: the recipe of the spec.
        seed: the seed of samples, labels and dropout masks.
        progress: called with a description of each step of the work.
        tolerance: the tolerance of weights and optimizer slots, in float64.
        opponent: of a generator, its discriminator: both take the steps of adversarial training, by the rules of their
            recipes.

    Raises:
        VerificationError: there is nothing to learn at these weights, or no weight moves, so nothing would be proved.
    """
    proof = TrainingProof()
    for case in _cases(graph, weights, recipe, seed, opponent):
        proof += _proof_of(case, backends, tolerance, progress)
    only_backend = (
        f"{backends[0].name} is the only one here that trains in float64: its updates are compared with {NUMPY}'s, and "
        "its losses and running statistics are not compared"
    )
    note = "training in float32 is at a tenth of these rates" if len(backends) > 1 else only_backend
    return proof + TrainingProof(notes=(note,))


def _proof_of(case: TrainingCase, backends: Sequence[Backend], tolerance: float, progress: Progress) -> TrainingProof:
    """Train by one rule: in float64, and if there are several backends, in float32."""
    progress(f"training, a rate for {case.recipe.optimizer.name}, {backends[0].name}")
    case = measured(case, backends[0])
    proof = TrainingProof(notes=(f"training: {case.rule}",))
    divergences: dict[tuple[str, str], TrainingDivergence] = {}
    for dtype in (DType.FLOAT64, DType.FLOAT32) if len(backends) > 1 else (DType.FLOAT64,):
        run = Lockstep(case, dtype, backends, tolerance)
        notes = run.finish(progress)
        rows = [row for pair in run.pairs.values() for row in pair.rows()]
        proof += TrainingProof(tuple(rows), (), tuple(run.unfinished()), tuple(notes))
        for names, pair in run.pairs.items():
            if pair.divergence is not None:
                divergences.setdefault(names, pair.divergence)
    return proof + TrainingProof(divergences=tuple(without_consequences(divergences)))


def _cases(
    graph: Graph, weights: Weights, recipe: Recipe | None, seed: int, opponent: Opponent | None
) -> list[TrainingCase]:
    """The trainings to compare, each without a rate."""
    if opponent is None or recipe is None:
        return [
            TrainingCase(graph, weights, rule, seed) for rule in check_recipes(recipe, [h.name for h in graph.heads])
        ]
    theirs = weights_for(next(iter(cases_of(opponent.graph, seed=seed))), seed)
    other = Opponent(opponent.graph, checked_rule(opponent.recipe))
    return [TrainingCase(graph, joined(weights, theirs), checked_rule(recipe), seed, other)]


def without_consequences(divergences: Mapping[tuple[str, str], TrainingDivergence]) -> list[TrainingDivergence]:
    """The divergences, without those between two backends that result from a wrong update in one of them."""
    wrong_updates = {name: divergence.step for (name, against), divergence in divergences.items() if against == NUMPY}

    def results_from(name: str, divergence: TrainingDivergence) -> bool:
        # The loss of a step is computed before its update.
        return wrong_updates.get(name, math.inf) <= divergence.step - (divergence.subject == LOSS)

    return [
        divergence
        for (name, against), divergence in divergences.items()
        if against == NUMPY or not (results_from(name, divergence) or results_from(against, divergence))
    ]


class Pair:
    """A backend, and the other backend or NumPy update that it is compared with, up to the first divergence."""

    def __init__(self, case: TrainingCase, dtype: DType, backend: str, against: str) -> None:
        self._case, self._dtype, self._backend, self._against = case, dtype, backend, against
        self._worst: dict[bool, Comparison] = {}  # True: of losses; False: of weights and slots
        self.divergence: TrainingDivergence | None = None

    def record(self, step: int, errors: Mapping[Subject, float], tolerance: float) -> None:
        """Record the errors after a step, counted from 0. After the first divergence, errors are ignored."""
        if self.divergence is not None:
            return
        subject, error = max(errors.items(), key=lambda item: item[1])
        comparison = Comparison(
            "training",
            self._backend,
            self._against,
            self._dtype,
            self._case.label,
            f"{subject}, step {step + 1}",
            error,
            tolerance,
        )
        worst = self._worst.setdefault(subject == THE_LOSS, comparison)
        if error / tolerance > worst.error / worst.tolerance:
            self._worst[subject == THE_LOSS] = comparison
        if not comparison.passed:
            failed = [failing for failing, share in errors.items() if not share <= tolerance]
            trap = trap_of(self._case, self._dtype, step, failed, of_rule=self._against == NUMPY)
            self.divergence = TrainingDivergence(
                self._backend, self._against, self._dtype, step + 1, *subject, error, tolerance, trap
            )

    def rows(self) -> list[Comparison]:
        """The worst comparison of losses, and the worst of weights and slots."""
        return list(self._worst.values())


class Lockstep:
    """Trainers of several backends that take the same steps and are compared after each.

    In float64, every weight and slot is compared; in float32, where rounding dominates them, only the losses are.

    Attributes:
        pairs: the pairs by the names of the backend and of what it is compared with.
    """

    def __init__(
        self, case: TrainingCase, dtype: DType, backends: Sequence[Backend], tolerance: float = STATE_TOLERANCE
    ) -> None:
        self._case, self._dtype, self._backends = case.in_dtype(dtype), dtype, backends
        self._graph, self._tolerance = self._case.graph, tolerance
        self._trainable = [name for name, weight in self._case.all_weights.items() if weight.trainable]
        self._compares_state = dtype is DType.FLOAT64
        self._rounding = Rounding(self._case, partial(self._make_trainer, backends[0]), tolerance)
        self._trainers: dict[str, Trainer] = {}
        self._states: dict[str, TrainingState] = {}  # updated in float64 only
        first, *others = (b.name for b in backends)
        with_numpy = [(name, NUMPY) for name in (first, *others)] if self._compares_state else []
        with_first = [(name, first) for name in others]
        self.pairs = {names: Pair(case, dtype, *names) for names in (*with_numpy, *with_first)}

    def _make_trainer(self, backend: Backend) -> Trainer:
        return self._case.trainer(backend)

    def finish(self, progress: Progress) -> list[str]:
        """Take all steps, and return notes on them.

        Raises:
            VerificationError: no weight moved, or rounding grows so much in one step that nothing can be compared.
        """
        start = {name: array.astype(self._dtype.numpy) for name, array in self._case.weights.items()}
        self._states = {backend.name: TrainingState(start) for backend in self._backends}
        with ExitStack() as stack:
            stack.callback(self._rounding.close)
            for backend in self._backends:
                progress(f"training, loading {backend.name} {self._dtype}")
                self._trainers[backend.name] = self._make_trainer(backend)
                stack.callback(self._trainers[backend.name].close)
            for step in range(STEPS):
                losses = self._step(step, progress)
                self._compare(step, losses, progress)
        notes = []
        if self._compares_state:
            notes = self._unmoved_notes(start, self._states[self._backends[0].name].weights)
        return [*notes, *self._rounding.notes]

    def unfinished(self) -> list[Unfinished]:
        """The number of steps in which the backends were compared with one another, if that is not all."""
        lost = self._rounding.lost
        return [] if lost is None else [Unfinished(self._dtype, lost, STEPS)]

    def _step(self, step: int, progress: Progress) -> dict[str, float]:
        """Take a step in each backend and, in float64, compare it with the NumPy update. Returns the losses."""
        case = self._case
        batches, rate, total = case.batches(step), case.rate(step), case.total(step)
        losses: dict[str, float] = {}
        for name, trainer in self._trainers.items():
            progress(self._stage(name, step))
            if step % EPOCH == 0 and self._case.has_curvature:
                self._states[name] = self._case.with_curvature(trainer.export_state(), step)
                trainer.import_state(self._states[name])
            result = trainer.step(batches, rate, total, step, keep_gradients=self._compares_state)
            losses[name] = result.loss
            if self._compares_state:
                before, self._states[name] = self._states[name], trainer.export_state()
                if self.pairs[name, NUMPY].divergence is None:
                    errors = self._update_errors(before, result, rate, self._states[name])
                    self.pairs[name, NUMPY].record(step, errors, self._tolerance)
        return losses

    def _stage(self, name: str, step: int) -> str:
        return f"training, {self._case.recipe.optimizer.name}, {name} {self._dtype}, step {step + 1} of {STEPS}"

    def _compare(self, step: int, losses: Mapping[str, float], progress: Progress) -> None:
        """Compare the results of a step with those of the first backend; if rounding exceeds limits, restart all."""
        rounding, first = self._rounding, self._backends[0].name
        errors_of_pairs = {} if rounding.lost is not None else self._errors(first, losses)
        limits = rounding.tolerances
        if any(_exceed(errors, limits) for errors in errors_of_pairs.values()):
            report = partial(progress, f"{self._stage(first, step)}, repeated to measure the effect of rounding")
            state = self._states[first] if self._compares_state else None
            limits = rounding.limits(step, losses[first], state, report)
            errors_of_pairs = self._errors(first, losses)  # again: some may be of rounding alone
        for pair, errors in errors_of_pairs.items():
            if rounding.lost is None or _exceed(errors, limits):
                for errors_of_kind, limit in zip(errors, limits, strict=False):
                    pair.record(step, errors_of_kind, limit)
        if step == rounding.lost == 0 and self._compares_state and not any(pair.divergence for pair in errors_of_pairs):
            raise VerificationError(
                f"{self._graph.name}: {'; '.join(rounding.notes)}: nothing is proved",
                "verify it at a larger input: batch statistics of few values divide by next to nothing",
            )
        if rounding.lost is None and (limits != rounding.tolerances or rounding.since is not None):
            self._restart(step)

    def _errors(self, first: str, losses: Mapping[str, float]) -> dict[Pair, list[dict[Subject, float]]]:
        """For each pair of backends that has not diverged, the error of the loss, and in float64 those of the state."""
        errors: dict[Pair, list[dict[Subject, float]]] = {}
        for name, loss in losses.items():
            pair = self.pairs.get((name, first))
            if pair is not None and pair.divergence is None:
                errors[pair] = [{THE_LOSS: loss_error(loss, losses[first], classes_of(self._case.reader))}]
                if self._compares_state:
                    gaps = state_gaps(self._states[name], self._states[first])
                    errors[pair].append(shares(gaps, self._rounding.noise))
        return errors

    def _restart(self, step: int) -> None:
        """Let all backends continue from the state of the first."""
        first, *others = self._trainers
        state = self._states[first] if self._compares_state else self._trainers[first].export_state()
        for name in others:
            self._trainers[name].import_state(state)
            self._states[name] = state
        self._rounding.restart(step, state)

    def _update_errors(
        self, before: TrainingState, result: StepResult, rate: float, after: TrainingState
    ) -> dict[Subject, float]:
        """The errors of all trainable weights and their slots; infinite for a weight that has no gradient."""
        gradients = result.gradients or {}
        errors = {Subject(name): math.inf for name in self._trainable if name not in gradients}
        opponent = self._case.opponent
        if opponent is None:
            return errors | shares(update_gaps(self._case.recipe, before, gradients, rate, after))
        parts = zip(divided_state(before), divided(gradients), divided_state(after), strict=True)
        (own_before, own, own_after), (their_before, theirs, their_after) = parts
        errors |= shares(update_gaps(self._case.recipe, own_before, own, rate, own_after))
        their_rate = rate * opponent.recipe.optimizer.learning_rate / self._case.recipe.optimizer.learning_rate
        gaps = update_gaps(opponent.recipe, their_before, theirs, their_rate, their_after)
        return errors | {
            subject._replace(name=f"{DISCRIMINATOR_PREFIX}{subject.name}"): share
            for subject, share in shares(gaps).items()
        }

    def _unmoved_notes(self, start: Weights, end: Weights) -> list[str]:
        """A note on weights that hardly moved, such as those with a zero derivative, which proves little of them."""
        learning = [name for name in self._trainable if self._case.override_of(name).lr_scale]
        still = [name for name in learning if gap_of(end[name], start[name]).share() < MOVED]
        if len(still) == len(learning):
            raise VerificationError(
                f"{self._graph.name}: no weight moved by {MOVED:.0e} of its largest in {STEPS} steps of training, "
                "so nothing is proved"
            )
        if not still:
            return []
        return [f"{self._case.recipe.optimizer.name} hardly moves {', '.join(still)}, so little is proved of it"]


def _exceed(errors: Sequence[Mapping[Subject, float]], limits: Sequence[float]) -> bool:
    return any(max(of_kind.values()) > limit for of_kind, limit in zip(errors, limits, strict=False))
