"""Comparing a network in towers with the same network on one device: values, gradients and training."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack

from netspec.errors import NetspecError, VerificationError
from netspec.graph import Graph
from netspec.lowering import Backend, Model, Trainer, at_level
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
from netspec.verify.gradients import compare_gradients, cotangents_for, worst_gradient
from netspec.verify.report import Report
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
    trained, notes = _with_loss(graph, level)
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


def _with_loss(graph: Graph, level: Level | None) -> tuple[Graph | None, list[str]]:
    """The network as it is trained, or None if it has no loss; and notes of what is not compared.

    Raises:
        NetspecError: there is no loss, and `level` is `training`.
    """
    try:
        return graph_to_train(graph), []
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
    with ExitStack() as stack:
        models: dict[str, Model] = {}
        for backend in (one, many):
            progress(f"loading {backend.name}")
            model = models[backend.name] = backend.load(backend.lower(shown), weights)
            stack.callback(model.close)
        rows: list[Comparison] = []
        limit = FORWARD_TOLERANCE[DType.FLOAT64]
        for case in cases:
            progress(f"forward, {case.label}")
            expected, outputs = (model.forward(case.inputs) for model in models.values())
            require_numbers(case, weights, expected)
            worst = worst_of(outputs, expected, DType.FLOAT64, difference_of_largest, lambda *_: limit)
            rows.append(Comparison("forward", many.name, one.name, DType.FLOAT64, case.label, *worst))
        if level != "forward":
            progress(f"gradients, {cases[1].label}")
            cotangents = cotangents_for(cases[1], seed)
            gradients = {name: model.gradients(cases[1].inputs, cotangents) for name, model in models.items()}
            rows += compare_gradients(cases[1], gradients, cotangents)
    return rows


def compare_step(case: TrainingCase, one: Backend, many: Backend, progress: Progress = silent) -> Comparison:
    """Compare the gradients of the loss of a training step, in float64.

    Raises:
        VerificationError: there are no gradients, or they are of different weights.
    """
    case = case.in_dtype(DType.FLOAT64)
    with ExitStack() as stack:
        trainers: list[Trainer] = []
        for backend in (one, many):
            progress(f"loading {backend.name}, to train")
            trainers.append(backend.trainer(case.graph, case.weights, case.settings))
            stack.callback(trainers[-1].close)
        progress("gradients of a step")
        batches, total = case.batches(0), case.total(0)
        expected, actual = (trainer.step(batches, 0.0, total, 0, keep_gradients=True).gradients for trainer in trainers)
    size = "x".join(map(str, case.graph.inputs[0].type.features))
    if not expected or not actual or actual.keys() != expected.keys():
        received = ", ".join(actual or ()) or "nothing"
        raise VerificationError(f"gradients of {received}, expected {', '.join(expected or ())}")
    worst = worst_gradient(actual, expected)
    return Comparison("gradient", many.name, one.name, DType.FLOAT64, f"a step of {total} × {size}", *worst)
