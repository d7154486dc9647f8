"""A network in towers beside the same network on one device, by the trainers that `netspec train` would use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace

import numpy as np

from netspec.errors import VerificationError
from netspec.graph import Graph
from netspec.lowering import Backend, Trainer, at_level
from netspec.ops.base import Array, Weights
from netspec.passes import Level as Optimization
from netspec.recipe import Augmentation, Recipe
from netspec.training.network import training_graph
from netspec.types import DType
from netspec.verify.cases import cases_of, weights_for
from netspec.verify.compare import (
    FORWARD_TOLERANCE,
    GRADIENT_TOLERANCE,
    NEGLIGIBLE_GRADIENT,
    Comparison,
    Level,
    difference_of_largest,
    relative_l2,
)
from netspec.verify.report import Report
from netspec.verify.towers.processes import InTowers
from netspec.verify.training import TrainingProof, compare_training
from netspec.verify.training.case import EPOCH, TrainingCase, check_recipes

TOLERANCE = 1e-10  # of weights and of what the optimizer keeps; 24 steps of AlexNet's kind of rule were seen at 2e-14
Progress = Callable[[str], None]


def verify_towers(
    graph: Graph,
    backend: Backend,
    towers: int,
    level: Level = "training",
    *,
    optimize: Optimization = "none",
    weights: Mapping[str, Array] | None = None,
    recipe: Recipe | None = None,
    seed: int = 0,
    progress: Progress = lambda _: None,
) -> Report:
    """Compare a network in towers, a process each, with the network on one device, which the same backend trains.

    Args:
        graph: the network, float32.
        backend: that trains in towers.
        towers: how many.
        level: `forward`, the logits at inference; `gradient` for those too; `training` for all three.
        optimize: the level at which both are trained.
        weights: canonical weights to check with, instead of He-scaled ones.
        recipe: the spec's own, to be trained by beside the paper's.
        seed: of weights, samples, labels and dropout masks.
        progress: called with what is about to be done.

    Returns:
        The report; it has not been required to pass.

    Raises:
        BackendError: the framework is missing, or a process ended.
        NetspecError: the network has not one input and logits as its one output, or cannot be divided.
        VerificationError: the towers do not agree with one another, or there is nothing to learn at these weights.
    """
    backend.require()
    trained = training_graph(graph)
    if weights is None:
        case = next(cases_of(graph, seed=seed))
        progress(f"weights, {case.label}")
        weights = weights_for(case, seed)
    weights = {name: weights[name] for name in trained.weights}
    one = at_level(backend, optimize)
    with InTowers(backend, towers, optimize) as many:
        rule = check_recipes(recipe, [head.name for head in trained.heads])[-1]
        comparisons = compare_once(TrainingCase(trained, weights, rule, seed), one, many, level, progress)
        proof, notes = TrainingProof(), [f"one device and {towers} processes of this machine, over gloo"]
        if level == "training" and all(row.passed for row in comparisons):
            proof = compare_training(trained, [one, many], weights, recipe, seed, progress, tolerance=TOLERANCE)
        elif level == "training":
            notes.append("training is not compared: the networks differ before it begins")
    return proof.report(graph.name, comparisons, (), notes)


def compare_once(
    case: TrainingCase, one: Backend, many: Backend, level: Level, progress: Progress = lambda _: None
) -> list[Comparison]:
    """The logits of a whole batch and of a part of one, and the gradients of a step, in float64."""
    case = case.in_dtype(DType.FLOAT64)
    with ExitStack() as stack:
        trainers: list[Trainer] = []
        for backend in (one, many):
            progress(f"loading {backend.name}")
            trainers.append(backend.trainer(case.graph, case.weights, case.settings))
            stack.callback(trainers[-1].close)
        rows: list[Comparison] = []
        plain = replace(case, recipe=case.recipe.model_copy(update={"augmentation": Augmentation()}))
        for step in (0, EPOCH - 1):
            batch, *_ = plain.batches(step)  # what is mixed of two images is for training alone
            progress(f"forward, {len(batch.labels)} samples")
            expected, logits = (trainer.predict(batch.inputs) for trainer in trainers)
            error = difference_of_largest(logits, expected)
            rows.append(_row("forward", case, one, many, step, case.graph.outputs[0], error))
        if level != "forward":
            progress("gradients")
            given, total = case.batches(0), case.total(0)
            ours, theirs = (trainer.step(given, 0.0, total, 0, keep_gradients=True).gradients for trainer in trainers)
            subject, error = _worst(theirs or {}, ours or {})
            rows.append(_row("gradient", case, one, many, 0, subject, error))
    return rows


def _worst(actual: Weights, expected: Weights) -> tuple[str, float]:
    """Of the gradients that differ most, whose they are and by how much; what is zero on paper is measured by others.

    Raises:
        VerificationError: there are none, or of other weights.
    """
    if not expected or actual.keys() != expected.keys():
        raise VerificationError(f"gradients of {', '.join(actual) or 'nothing'}, expected {', '.join(expected)}")
    scale = NEGLIGIBLE_GRADIENT * max(float(np.linalg.norm(array)) for array in expected.values())
    errors = {name: relative_l2(actual[name], array, scale) for name, array in expected.items()}
    return max(errors.items(), key=lambda item: item[1])


def _row(
    level: Level, case: TrainingCase, one: Backend, many: Backend, step: int, subject: str, error: float
) -> Comparison:
    size = "x".join(map(str, case.graph.inputs[0].type.features))
    label = f"{case.total(step)} × {size}" if level == "gradient" else f"{len(case.batches(step)[0].labels)} × {size}"
    limit = GRADIENT_TOLERANCE if level == "gradient" else FORWARD_TOLERANCE[DType.FLOAT64]
    return Comparison(level, many.name, one.name, DType.FLOAT64, label, subject, error, limit)
