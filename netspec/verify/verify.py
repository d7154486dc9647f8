"""Is a spec one function everywhere? Its backends against the NumPy reference, and against one another."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from netspec import reference
from netspec.errors import BackendError, VerificationError
from netspec.graph import Graph, Node
from netspec.lowering import Backend, Gradients, Model
from netspec.ops.base import Array
from netspec.recipe import Recipe
from netspec.types import DType
from netspec.verify.cases import SATURATING, Case, cases_of, require_numbers, require_range, weights_for
from netspec.verify.compare import Comparison, Level, difference_of_largest, worst_of
from netspec.verify.gradients import compare_gradients, cotangents_for
from netspec.verify.report import NodeError, Report
from netspec.verify.rounding import Limits
from netspec.verify.training import TrainingProof, compare_training
from netspec.verify.training.case import graph_to_train

Progress = Callable[[str], None]
BETWEEN_TWO = "gradients are compared between two backends that train in float64"
OF_ONE = "training is compared of backends that train in float64"


def verify(
    graph: Graph,
    backends: Sequence[Backend],
    level: Level | None = None,
    *,
    weights: Mapping[str, Array] | None = None,
    recipe: Recipe | None = None,
    deep: bool = False,
    seed: int = 0,
    progress: Progress = lambda _: None,
) -> Report:
    """Run the same weights and inputs through the reference and every backend, and compare.

    Args:
        graph: the network, float32.
        backends: what to compare; their frameworks must be installed.
        level: `forward`; `gradient` for both; `training` for all three; left out, gradients where two backends train.
        weights: canonical weights to check with, instead of He-scaled ones.
        recipe: the spec's own, to be trained by beside the paper's.
        deep: compare every node's value too, not only after a failure; then each has to pass.
        seed: of weights and inputs.
        progress: called with what is about to be done.

    Returns:
        The report; it has not been required to pass.

    Raises:
        BackendError: a framework is missing; gradients are asked for and fewer than two backends train, or training
            and none does.
        NetspecError: the level is `training`, and the network has several inputs, or not logits as its one output.
        VerificationError: the reference gives NaN, infinity or what float32 does not hold, or all gradients do; or
            training is asked for, and at these weights there is nothing to learn.
    """
    for backend in backends:
        backend.require()
    training = _that_train(backends, level)
    trained = graph_to_train(graph) if level == "training" else None
    with_heads = with_heads_for_training(graph) if graph.heads else None
    graph = with_unsaturated_outputs(graph)
    cases = list(cases_of(graph, seed=seed))
    if weights is None:
        progress(f"weights, {cases[0].label}")
        weights = weights_for(cases[0], seed)
    inferred = [replace(cases[1], graph=with_heads)] if with_heads else []
    comparisons = list(_forward([*cases, *inferred], backends, weights, progress))
    if level != "forward" and len(training) > 1:
        comparisons += _gradient(cases, training, weights, seed, progress)
    failed = [c for c in comparisons if not c.passed]
    notes = _notes(backends, cases, graph)
    if level != "forward":
        notes += _notes_on_training(level, backends, training, failed=bool(failed))
    targets = _node_dtypes(backends, failed) if deep or failed else []
    nodes = tuple(compare_nodes(cases[1], targets, weights, progress)) if targets else ()
    proof = TrainingProof()
    if trained and not failed:
        proof = compare_training(trained, training, weights, recipe, seed, progress)
    return proof.report(graph.name, comparisons, nodes, notes)


def _that_train(backends: Sequence[Backend], level: Level | None) -> list[Backend]:
    """The backends that train and do so in float64; BackendError where the level asks for more of them."""
    found = [b for b in backends if b.trains and DType.FLOAT64 in b.dtypes]
    for asked, least, what in (("gradient", 2, BETWEEN_TWO), ("training", 1, OF_ONE)):
        if level == asked and len(found) < least:
            raise BackendError(
                f"{what}, received {_names(found or backends)}",
                "add one with --backends, or compare outputs alone: --level forward",
            )
    return found


def _node_dtypes(backends: Sequence[Backend], failed: Sequence[Comparison]) -> list[tuple[Backend, DType]]:
    """In which dtypes to look at nodes: the finest of each backend, and another where outputs failed in that alone."""
    finest = [(b, DType.FLOAT64 if DType.FLOAT64 in b.dtypes else DType.FLOAT32) for b in backends]
    forward = {(c.backend, c.dtype) for c in failed if c.level == "forward"}
    sound = [(b, best) for b, best in finest if (b.name, best) not in forward]
    return finest + [(b, dtype) for b, best in sound for dtype in b.dtypes - {best} if (b.name, dtype) in forward]


def with_unsaturated_outputs(graph: Graph) -> Graph:
    """The graph with the inputs of final softmax, sigmoid and tanh nodes shown too: at scale those hide differences.

    Auxiliary outputs are shown as all others are: at inference too.
    """
    return graph.with_outputs(_unsaturated(graph, graph.outputs))


def with_heads_for_training(graph: Graph) -> Graph:
    """The same, but that auxiliary outputs stay what they are: a backend leaves them out at inference."""
    main = [name for name in _unsaturated(graph, graph.main) if name not in graph.auxiliary]
    return replace(graph, outputs=(*main, *graph.auxiliary)).check()


def _unsaturated(graph: Graph, outputs: Iterable[str]) -> list[str]:
    shown = list(outputs)
    for name in tuple(shown):
        value = graph.values[name]
        if isinstance(value, Node) and isinstance(value.op, SATURATING):
            shown += [source for source in value.inputs if source not in shown]
    return shown


def _forward(
    cases: Sequence[Case], backends: Sequence[Backend], weights: Mapping[str, Array], progress: Progress
) -> Iterable[Comparison]:
    """Each backend in each of its dtypes against the reference, a model loaded once for all cases of one graph."""
    expected, limits = [], []
    for case in cases:
        progress(f"reference, {case.label}")
        expected.append(reference.evaluate(case.graph, weights, case.inputs))
        require_numbers(case, weights, expected[-1])
        limits.append(Limits(case, weights, expected[-1]).of)
    for dtype in (DType.FLOAT64, DType.FLOAT32):
        for backend in (b for b in backends if dtype in b.dtypes):
            model: Model | None = None
            made_for: Graph | None = None
            for case, values, limit in zip(cases, expected, limits, strict=True):
                progress(f"forward, {backend.name} {dtype}, {case.label}")
                graph = case.graph.astype(dtype)
                if model is None or made_for != graph:
                    model, made_for = backend.load(backend.lower(graph), weights), graph
                worst = worst_of(model.forward(case.inputs), values, dtype, difference_of_largest, limit)
                if math.isinf(worst[1]):
                    require_range(case, weights, dtype)
                yield Comparison("forward", backend.name, "reference", dtype, case.label, *worst)


def _gradient(
    cases: Sequence[Case],
    backends: Sequence[Backend],
    weights: Mapping[str, Array],
    seed: int,
    progress: Progress,
) -> list[Comparison]:
    """Every later backend against the first, in float64, at batch 2."""
    case = cases[1]
    found: dict[str, Gradients] = {}
    cotangents = cotangents_for(case, seed)
    for backend in backends:
        progress(f"gradients, {backend.name}, {case.label}")
        graph = case.graph.astype(DType.FLOAT64)
        model = backend.load(backend.lower(graph), weights)
        found[backend.name] = model.gradients(case.inputs, cotangents)
    return compare_gradients(case, found, cotangents)


def compare_nodes(
    case: Case, targets: Sequence[tuple[Backend, DType]], weights: Mapping[str, Array], progress: Progress
) -> Iterable[NodeError]:
    """Every node's value against the reference's, in each backend and dtype."""
    every = case.graph.with_outputs(node.name for node in case.graph.nodes)
    progress(f"node by node: reference, {case.label}")
    expected = reference.evaluate(every, weights, case.inputs)
    limits = Limits(replace(case, graph=every), weights, expected)
    for backend, dtype in targets:
        progress(f"node by node: {backend.name} {dtype}")
        artifact, equals = backend.lower_nodes(case.graph.astype(dtype))
        actual = backend.load(artifact, weights).forward(case.inputs)
        nodes = {node.name: node for node in artifact.graph.nodes}
        for name, plain in equals.items():
            try:
                error = difference_of_largest(actual[name], expected[plain])
            except VerificationError:
                error = math.inf
            limit = limits.of(plain, dtype, error)
            op = nodes[name].op
            yield NodeError(name, op.kind, backend.name, dtype, error, limit, op.trap)


def _notes(backends: Sequence[Backend], cases: Sequence[Case], graph: Graph) -> list[str]:
    notes = [
        f"{b.name} computes in {', '.join(sorted(b.dtypes))} only" for b in backends if DType.FLOAT64 not in b.dtypes
    ]
    if all(case.graph.inputs == graph.inputs for case in cases):
        notes.append("it takes no other size of input, so none was tried")
    return notes


def _notes_on_training(
    level: Level | None, backends: Sequence[Backend], training: Sequence[Backend], *, failed: bool
) -> list[str]:
    """What is not compared of gradients and of training, and why."""
    notes = [] if len(training) > 1 else [f"{BETWEEN_TWO}, here: {_names(training)}"]
    if level == "training" and failed:
        notes.append("training is not compared: the networks differ before it begins")
    elif level == "training":
        others = [backend.name for backend in backends if backend not in training]
        notes += [f"the training of {name} is not compared: it has none in float64" for name in others]
    return notes


def _names(backends: Sequence[Backend]) -> str:
    return ", ".join(b.name for b in backends) or "none"
