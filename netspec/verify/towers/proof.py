"""Comparing a network in towers with the same network on one device: values, gradients and training."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import NamedTuple

from netspec.errors import NetspecError, VerificationError
from netspec.graph import Graph
from netspec.lowering import Backend, Gradients, at_level
from netspec.ops.base import Array, Weights
from netspec.passes import Level as Optimization
from netspec.progress import Progress, silent
from netspec.recipe import Recipe
from netspec.types import DType
from netspec.verify.cases import Case, cases_of, input_of, require_numbers, weights_for
from netspec.verify.compare import (
    FORWARD_TOLERANCE,
    Comparison,
    Level,
    difference_of_largest,
    worst_of,
)
from netspec.verify.gradients import compare_gradients, cotangents_for, of_rounding_alone, worst_gradient
from netspec.verify.report import Report
from netspec.verify.rounding import MOST, TWINS, UNITS, moved
from netspec.verify.towers.backend import InTowers
from netspec.verify.training import TrainingProof, compare_training
from netspec.verify.training.case import BATCH, TrainingCase, check_recipes, graph_to_train
from netspec.verify.verify import DIFFER_BEFORE, with_unsaturated_outputs

TOLERANCE = 1e-10  # of weights and optimizer slots; 24 steps of SGD with momentum were measured at 2e-14


def verify_towers(
    graph: Graph,
    backend: Backend,
    towers: int,
    level: Level | None = None,
    *,
    optimize: Optimization = "none",
    weights: Mapping[str, Array] | None = None,
    recipe: Recipe | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> Report:
    """Compare a network in towers, a process each, with the network on one device, by the same backend.

    Args:
        graph: the network, float32.
        backend: one that supports towers.
        towers: their number.
        level: `forward` for the outputs at inference; `gradient` also for their gradients and, if there is a loss, for
            those of a training step; `training` also for twenty steps. By default as far as the network permits.
        optimize: the level of optimization of both.
        weights: canonical weights to check with, instead of He-scaled ones.
        recipe: the spec's own, to train by beside the paper's.
        seed: of weights, samples, labels and dropout masks.
        progress: called with a description of each stage before it begins.

    Returns:
        The report, whether or not all comparisons pass.

    Raises:
        BackendError: the framework is missing, or a process ended.
        NetspecError: the network cannot be divided; or `level` is `training`, and the network has no loss.
        VerificationError: the towers disagree with one another; a value is NaN or infinite on one device too; or the
            loss does not depend on these weights.
    """
    backend.require()
    trained, notes = _with_loss(graph, recipe, level)
    if weights is None:
        case = next(cases_of(graph, seed=seed))
        progress(f"weights, {case.label}")
        weights = weights_for(case, seed)
    one = at_level(backend, optimize)
    with InTowers(backend, towers, optimize) as many:
        comparisons = compare_values(graph, weights, one, many, level, seed, progress)
        if trained is not None and level != "forward":
            rule = check_recipes(recipe, [head.name for head in trained.heads])[-1]
            comparisons.append(compare_step(TrainingCase(trained, weights, rule, seed), one, many, progress))
        proof = TrainingProof()
        if trained is not None and level in {None, "training"}:
            if all(row.passed for row in comparisons):
                proof = compare_training(trained, [one, many], weights, recipe, seed, progress, tolerance=TOLERANCE)
            else:
                notes.append(DIFFER_BEFORE)
    notes.insert(0, f"one device and {towers} processes of this machine, over gloo")
    return proof.report(graph.name, comparisons, (), notes)


def _with_loss(graph: Graph, recipe: Recipe | None, level: Level | None) -> tuple[Graph | None, list[str]]:
    """The network as it is trained, or None if it has no loss; and notes of what is not compared.

    Raises:
        NetspecError: there is no loss, and `level` is `training`.
    """
    try:
        return graph_to_train(graph, recipe), []
    except NetspecError as error:
        if level == "training":
            raise
        return None, [] if level == "forward" else [f"training is not compared, for there is no loss: {error.message}"]


def compare_values(
    graph: Graph,
    weights: Weights,
    one: Backend,
    many: Backend,
    level: Level | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> list[Comparison]:
    """Compare outputs at inference, of a whole and of a partial batch, and their gradients, in float64."""
    shown = with_unsaturated_outputs(graph).astype(DType.FLOAT64)
    cases = [Case(shown, {i.name: input_of(i, size, seed) for i in shown.inputs}) for size in (BATCH, BATCH - 1)]
    cotangents = None if level == "forward" else cotangents_for(cases[1], seed)
    expected = _values(cases, weights, one, cotangents, progress)
    for case, outputs in zip(cases, expected.outputs, strict=True):
        require_numbers(case, weights, outputs)
    noise: set[str] = set()

    def rows(actual: _Values) -> list[Comparison]:
        return _compare(cases, actual, expected, many.name, one.name, cotangents, noise)

    def twin(number: int) -> list[Comparison]:
        moved_cases = [Case(shown, moved(case.inputs, DType.FLOAT64, UNITS, number)) for case in cases]
        values = _values(moved_cases, moved(weights, DType.FLOAT64, UNITS, number), one, cotangents, progress)
        if values.gradients is not None and expected.gradients is not None:
            noise.update(of_rounding_alone(values.gradients.weights, expected.gradients.weights))
        return rows(values)

    actual = _values(cases, weights, many, cotangents, progress)
    return allowing_for_rounding(lambda: rows(actual), twin)


class _Values(NamedTuple):
    """The outputs of each case, and the gradients of the last; None if they are not compared."""

    outputs: list[dict[str, Array]]
    gradients: Gradients | None


def _values(
    cases: Sequence[Case],
    weights: Weights,
    backend: Backend,
    cotangents: Mapping[str, Array] | None,
    progress: Progress,
) -> _Values:
    progress(f"loading {backend.name}")
    with closing(backend.load(backend.lower(cases[0].graph), weights)) as model:
        progress(f"outputs of {backend.name}")
        outputs = [model.forward(case.inputs) for case in cases]
        if cotangents is None:
            return _Values(outputs, None)
        progress(f"gradients of {backend.name}")
        return _Values(outputs, model.gradients(cases[-1].inputs, cotangents))


def _compare(
    cases: Sequence[Case],
    actual: _Values,
    expected: _Values,
    backend: str,
    against: str,
    cotangents: Mapping[str, Array] | None,
    noise: Collection[str],
) -> list[Comparison]:
    rows: list[Comparison] = []
    limit = FORWARD_TOLERANCE[DType.FLOAT64]
    for case, ours, theirs in zip(cases, actual.outputs, expected.outputs, strict=True):
        worst = worst_of(ours, theirs, DType.FLOAT64, difference_of_largest, lambda *_: limit)
        rows.append(Comparison("forward", backend, against, DType.FLOAT64, case.label, *worst))
    if cotangents is not None and actual.gradients is not None and expected.gradients is not None:
        both = {against: expected.gradients, backend: actual.gradients}
        rows += compare_gradients(cases[-1], both, cotangents, noise)
    return rows


def allowing_for_rounding(
    rows: Callable[[], list[Comparison]], twin: Callable[[int], list[Comparison]]
) -> list[Comparison]:
    """The comparisons. The limits of those that fail are raised to what rounding does to the network on one device.

    Towers add in another order. A network that amplifies rounding then differs by more than the tolerance, and so does
    one device from itself with weights and inputs perturbed in their last places.

    Args:
        rows: returns the comparisons of the towers with one device; called again once twins have shown which
            gradients are rounding alone.
        twin: returns the same comparisons of one device, perturbed for the number given, with itself.
    """
    found = rows()
    if all(row.passed or not row.error <= MOST[row.dtype] for row in found):
        return found
    twins = [twin(number) for number in range(TWINS)]
    return [
        row if row.passed else replace(row, tolerance=max(row.tolerance, _limit(row, effects)))
        for row, *effects in zip(rows(), *twins, strict=True)
    ]


def _limit(row: Comparison, effects: Sequence[Comparison]) -> float:
    return min(max(effect.error for effect in effects), MOST[row.dtype])


def compare_step(case: TrainingCase, one: Backend, many: Backend, progress: Progress = silent) -> Comparison:
    """Compare the gradients of the loss of a training step, in float64.

    Raises:
        VerificationError: there are no gradients, or they are of different weights.
    """
    case = case.in_dtype(DType.FLOAT64)
    expected = _gradients_of_step(case, one, progress)
    size = "x".join(map(str, case.graph.inputs[0].type.features))
    label = f"a step of {case.total(0)} × {size}"
    noise: set[str] = set()

    def rows(actual: Weights) -> list[Comparison]:
        if not expected or actual.keys() != expected.keys():
            received = ", ".join(actual) or "nothing"
            raise VerificationError(f"gradients of {received}, expected {', '.join(expected)}")
        worst = worst_gradient(actual, expected, noise=noise)
        return [Comparison("gradient", many.name, one.name, DType.FLOAT64, label, *worst)]

    def twin(number: int) -> list[Comparison]:
        weights = moved(case.weights, DType.FLOAT64, UNITS, number)
        gradients = _gradients_of_step(replace(case, weights=weights), one, progress)
        noise.update(of_rounding_alone(gradients, expected))
        return rows(gradients)

    actual = _gradients_of_step(case, many, progress)
    (row,) = allowing_for_rounding(lambda: rows(actual), twin)
    return row


def _gradients_of_step(case: TrainingCase, backend: Backend, progress: Progress) -> Weights:
    progress(f"loading {backend.name}, to train")
    with closing(backend.trainer(case.graph, case.weights, case.settings)) as trainer:
        progress(f"gradients of a step of {backend.name}")
        return trainer.step(case.batches(0), 0.0, case.total(0), 0, keep_gradients=True).gradients or {}
