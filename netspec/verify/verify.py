"""The check that a spec is one function: its backends against the NumPy reference, and against one another."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import get_args

from netspec import reference
from netspec.errors import BackendError, VerificationError, require_one_of
from netspec.graph import Graph, Node
from netspec.lowering import Backend, Model
from netspec.ops.base import Array
from netspec.progress import Progress, silent
from netspec.recipe import Recipe
from netspec.training.adversarial import Opponent
from netspec.types import DType
from netspec.verify.cases import SATURATING, Case, cases_of, require_numbers, require_range, weights_for
from netspec.verify.compare import Comparison, Level, difference_of_largest, worst_of
from netspec.verify.gradients import Derivatives, cotangents_for
from netspec.verify.report import NodeError, Report
from netspec.verify.rounding import Limits
from netspec.verify.training import TrainingProof, compare_training
from netspec.verify.training.case import graph_to_train

NEEDS_TWO = "gradients are compared between two backends that train in float64"
NEEDS_ONE = "training is compared between backends that train in float64"
DIFFER_BEFORE = "training is not compared: the networks differ before it begins"


def verify(
    graph: Graph,
    backends: Sequence[Backend],
    level: Level | None = None,
    *,
    weights: Mapping[str, Array] | None = None,
    recipe: Recipe | None = None,
    deep: bool = False,
    seed: int = 0,
    progress: Progress = silent,
    opponent: Opponent | None = None,
) -> Report:
    """Run the same weights and inputs through the reference and all backends, and compare the results.

    Args:
        graph: the network, float32.
        backends: the backends to compare, whose frameworks must be installed.
        level: `forward` compares outputs; `gradient` also gradients; `training` also twenty steps of training. By
            default, gradients are compared if two of the backends train.
        weights: canonical weights to check with, instead of random He-scaled ones.
        recipe: the recipe of the spec, whose update rule is checked in addition to the paper's.
        deep: compare and require the value of every node too, which by default is done only after a failure.
        seed: the seed of weights and inputs.
        progress: called with a description of each step of the work.
        opponent: of a generator, its discriminator, whose training is compared with its own.

    Returns:
        The report, which may not have passed.

    Raises:
        BackendError: a framework is missing; or the level is `gradient` and fewer than two backends train, or
            `training` and none does.
        NetspecError: there is no such level; or it is `training`, and the network has several inputs or an output that
            is not logits.
        VerificationError: the reference, or the gradient in every backend, is not finite, or overflows float32; or the
            level is `training`, and there is nothing to learn at these weights.
    """
    if level is not None:
        require_one_of("the level of verification", level, get_args(Level))
    for backend in backends:
        backend.require()
    training_backends = _training_backends(backends, level)
    training_graph = graph_to_train(graph, recipe, opponent) if level == "training" else None
    graph_with_heads = with_heads_for_training(graph) if graph.heads else None
    graph = with_unsaturated_outputs(graph)
    cases = list(cases_of(graph, seed=seed))
    if weights is None:
        progress(f"weights, {cases[0].label}")
        weights = weights_for(cases[0], seed)
    head_cases = [replace(cases[1], graph=graph_with_heads)] if graph_with_heads else []
    differentiated = training_backends if level != "forward" and len(training_backends) > 1 else []
    derivatives = Derivatives(cases[1], differentiated, cotangents_for(cases[1], seed))
    comparisons = list(_compare_outputs([*cases, *head_cases], backends, weights, derivatives, progress))
    comparisons += derivatives.compare()
    failed = [c for c in comparisons if not c.passed]
    notes = _notes(backends, cases, graph)
    if level != "forward":
        notes += _notes_on_training(level, backends, training_backends, failed=bool(failed))
    targets = _node_dtypes(backends, failed) if deep or failed else []
    nodes = tuple(compare_nodes(cases[1], targets, weights, progress)) if targets else ()
    proof = TrainingProof()
    if training_graph and not failed:
        proof = compare_training(training_graph, training_backends, weights, recipe, seed, progress, opponent=opponent)
    return proof.report(graph.name, comparisons, nodes, notes)


def _training_backends(backends: Sequence[Backend], level: Level | None) -> list[Backend]:
    """The backends that can train in float64. Raises BackendError if there are too few for the level."""
    able = [b for b in backends if b.trains and DType.FLOAT64 in b.dtypes]
    for of_level, least, message in (("gradient", 2, NEEDS_TWO), ("training", 1, NEEDS_ONE)):
        if level == of_level and len(able) < least:
            raise BackendError(
                f"{message}, received {_names(able or backends)}",
                "add one with --backend, or compare outputs alone: --level forward",
            )
    return able


def _node_dtypes(backends: Sequence[Backend], failed: Sequence[Comparison]) -> list[tuple[Backend, DType]]:
    """The dtypes in which to compare nodes.

    That is the most precise dtype of each backend, and another one if only in that one the outputs differ.
    """
    finest = [(b, DType.FLOAT64 if DType.FLOAT64 in b.dtypes else DType.FLOAT32) for b in backends]
    failures = {(c.backend, c.dtype) for c in failed if c.level == "forward"}
    passed = [(b, best) for b, best in finest if (b.name, best) not in failures]
    return finest + [(b, dtype) for b, best in passed for dtype in b.dtypes - {best} if (b.name, dtype) in failures]


def with_unsaturated_outputs(graph: Graph) -> Graph:
    """The graph with the inputs of final softmax, sigmoid and tanh nodes as further outputs.

    Large inputs saturate these ops, which hides differences. Auxiliary outputs become plain outputs, computed at
    inference too.
    """
    return graph.with_outputs(_unsaturated(graph, graph.outputs))


def with_heads_for_training(graph: Graph) -> Graph:
    """Like `with_unsaturated_outputs`, but auxiliary outputs stay auxiliary: backends leave them out at inference."""
    main = [name for name in _unsaturated(graph, graph.main) if name not in graph.auxiliary]
    return replace(graph, outputs=(*main, *graph.auxiliary)).check()


def _unsaturated(graph: Graph, outputs: Iterable[str]) -> list[str]:
    names = list(outputs)
    for name in tuple(names):
        value = graph.values[name]
        if isinstance(value, Node) and isinstance(value.op, SATURATING):
            names += [source for source in value.inputs if source not in names]
    return names


def _compare_outputs(
    cases: Sequence[Case],
    backends: Sequence[Backend],
    weights: Mapping[str, Array],
    derivatives: Derivatives,
    progress: Progress,
) -> Iterable[Comparison]:
    """Compare each backend with the reference, in each of its dtypes, and take gradients on the way.

    Consecutive cases of one graph share a model, the gradients too: loading one can take longer than running it.
    """
    expected, limits = [], []
    for case in cases:
        progress(f"reference, {case.label}")
        expected.append(reference.evaluate(case.graph, weights, case.inputs))
        require_numbers(case, weights, expected[-1])
        limits.append(Limits(case, weights, expected[-1]).of)
    for dtype in (DType.FLOAT64, DType.FLOAT32):
        for backend in (b for b in backends if dtype in b.dtypes):
            model: Model | None = None
            loaded: Graph | None = None
            for case, values, limit in zip(cases, expected, limits, strict=True):
                progress(f"forward, {backend.name} {dtype}, {case.label}")
                graph = case.graph.astype(dtype)
                if model is None or loaded != graph:
                    model, loaded = backend.load(backend.lower(graph), weights), graph
                worst = worst_of(model.forward(case.inputs), values, dtype, difference_of_largest, limit)
                if math.isinf(worst[1]):
                    require_range(case, weights, dtype)
                yield Comparison("forward", backend.name, "reference", dtype, case.label, *worst)
                if dtype == DType.FLOAT64 and derivatives.include(backend, case):
                    progress(f"gradients, {backend.name}, {case.label}")
                    derivatives.take(backend, model)


def compare_nodes(
    case: Case, targets: Sequence[tuple[Backend, DType]], weights: Mapping[str, Array], progress: Progress
) -> Iterable[NodeError]:
    """Compare the value of every node with the reference, in each backend and dtype."""
    all_nodes = case.graph.with_outputs(node.name for node in case.graph.nodes)
    progress(f"node by node: reference, {case.label}")
    expected = reference.evaluate(all_nodes, weights, case.inputs)
    limits = Limits(replace(case, graph=all_nodes), weights, expected)
    for backend, dtype in targets:
        progress(f"node by node: {backend.name} {dtype}")
        artifact, equals = backend.lower_nodes(case.graph.astype(dtype))
        actual = backend.load(artifact, weights).forward(case.inputs)
        nodes = {node.name: node for node in artifact.graph.nodes}
        for name, original in equals.items():  # optimization passes may have renamed nodes
            try:
                error = difference_of_largest(actual[name], expected[original])
            except VerificationError:
                error = math.inf
            limit = limits.of(original, dtype, error)
            op = nodes[name].op
            yield NodeError(name, op.kind, backend.name, dtype, error, limit, op.trap)


def _notes(backends: Sequence[Backend], cases: Sequence[Case], graph: Graph) -> list[str]:
    notes = [
        f"{b.name} computes in {', '.join(sorted(b.dtypes))} only" for b in backends if DType.FLOAT64 not in b.dtypes
    ]
    if all(case.graph.inputs == graph.inputs for case in cases):
        notes.append("the network takes no other input size, so none was tried")
    return notes


def _notes_on_training(
    level: Level | None, backends: Sequence[Backend], training_backends: Sequence[Backend], *, failed: bool
) -> list[str]:
    """The comparisons of gradients and training that are not made, and why."""
    notes = [] if len(training_backends) > 1 else [f"{NEEDS_TWO}, here: {_names(training_backends)}"]
    if level == "training" and failed:
        notes.append(DIFFER_BEFORE)
    elif level == "training":
        unable = [backend.name for backend in backends if backend not in training_backends]
        notes += [f"the training of {name} is not compared: it has none in float64" for name in unable]
    return notes


def _names(backends: Sequence[Backend]) -> str:
    return ", ".join(b.name for b in backends) or "none"
