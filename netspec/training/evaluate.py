"""How well trained weights do on data, in any backend: `netspec eval`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netspec.errors import NetspecError
from netspec.graph import Graph, Normalization
from netspec.lowering import Backend, find_backend
from netspec.ops.base import Array
from netspec.preprocessing import normalization
from netspec.recipe.augmentation import Views
from netspec.training.data.dataset import Dataset
from netspec.training.data.division import hold_back
from netspec.training.data.evaluation_batches import evaluation_batches
from netspec.training.data.findings import Findings, OnBadSample
from netspec.training.data.sources import open_parts
from netspec.training.material import image_preprocessing, map_rule, require_classes
from netspec.training.network import classes_of, network_inputs, training_graph
from netspec.training.score import Predict, Scores, score
from netspec.weights import load_weights
from netspec.words import counted

ONNX = ".onnx"
ONE_VIEW: tuple[Views, ...] = (1,)  # of features, and of what has masks
BATCH = 64  # images, views counted
# float32: logits of different frameworks are within 1e-5 of the largest, and a mean of losses is nearer still.
AGREEMENT = 1e-4


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The scores of one backend, with one number of views."""

    backend: str
    views: int
    scores: Scores


def evaluation_set(
    url: str, *, holdout: float | None, seed: int, on_bad_sample: OnBadSample
) -> tuple[Dataset, tuple[str, ...]]:
    """What is evaluated of a set: its validation part; of an undivided one what `holdout` holds back, or all.

    Args:
        url: as `open_data` takes it.
        holdout: as in the training whose weights are evaluated.
        seed: the recipe's, from which that training drew what it held back.
        on_bad_sample: whether samples that cannot be used are fatal.

    Returns:
        The set, and what a reader of the figures has to know of it.
    """
    findings = Findings()
    splits = open_parts(url, findings)
    findings.settle(url, on_bad_sample)
    notes = (*findings.notes, *splits.notes)
    if splits.validation is not None:
        if holdout is not None:
            raise NetspecError(f"{url} is divided: its validation part is evaluated", "leave out --holdout")
        return splits.validation, notes
    if holdout:
        held = hold_back(splits, holdout, seed)
        if held.validation is not None:
            return held.validation, (*notes, *held.notes)
    return splits.training, (*notes, f"all {len(splits.training):,} samples of {url} are evaluated: it is not divided")


def evaluate(
    graph: Graph,
    weights: Path,
    backends: Sequence[Backend],
    dataset: Dataset,
    views: Sequence[Views] = (1, 10),
    *,
    on_bad_sample: OnBadSample = "fatal",
    skipped: Callable[[str], None] = lambda _: None,
    progress: Callable[[str], None] = lambda _: None,
) -> list[Evaluation]:
    """Score weights on a set in every backend, with each number of views.

    Args:
        graph: the network.
        weights: canonical safetensors; or the `.onnx` that `netspec build` wrote, which onnxruntime runs as it is.
        backends: what computes.
        dataset: images, or features, which have one view; so have images with masks.
        views: 1 for the centre, 10 for the paper's ten.
        on_bad_sample: what to do with an image that cannot be read.
        skipped: called with what is wrong with a sample, each time that one is left out.
        progress: called with what is about to be done.

    Raises:
        NetspecError: the network is no classifier of these samples, weights or samples cannot be read, or a
            framework is missing.
    """
    logits = training_graph(graph)
    require_classes(logits, dataset)
    preprocessing = image_preprocessing(logits) if dataset.images else None
    shape = logits.inputs[0].type.features
    figures = normalization(preprocessing, shape) if preprocessing else None
    rule = map_rule(logits)
    batches = partial(
        evaluation_batches, dataset, shape, preprocessing, on_bad_sample=on_bad_sample, skipped=skipped, rule=rule
    )
    if rule is not None or not dataset.images:
        if 1 not in views:
            of = "features" if rule is None else "an image with a mask, which is scored whole"
            raise NetspecError(f"{dataset.origin}: expected one view of {of}, received {views[0]}", "leave out --views")
        views = ONE_VIEW
    found = []
    for backend in backends:
        predict = _predictor(graph, logits, weights, backend, figures, progress)
        for number in views:
            scored = batches(number, max(1, BATCH // number))
            seen = _Told(progress, f"{backend.name}, {counted(number, 'view')}", len(dataset))
            found.append(Evaluation(backend.name, number, score(predict, scored, classes_of(logits), seen=seen)))
    return found


class _Told:
    """Tells how many samples have been scored."""

    def __init__(self, progress: Callable[[str], None], what: str, samples: int) -> None:
        self._progress, self._what, self._samples, self._done = progress, what, samples, 0

    def __call__(self, samples: int) -> None:
        self._done += samples
        self._progress(f"{self._what}: {self._done:,} of {self._samples:,}")


def disagreements(evaluations: Sequence[Evaluation]) -> list[str]:
    """Where a backend's loss is not that of the first one with as many views."""
    first: dict[int, Evaluation] = {}
    problems = []
    for evaluation in evaluations:
        base = first.setdefault(evaluation.views, evaluation)
        difference = abs(evaluation.scores.loss - base.scores.loss) / max(base.scores.loss, AGREEMENT)
        if not difference <= AGREEMENT:
            problems.append(
                f"{evaluation.backend} and {base.backend} differ by {difference:.1e} in the loss of "
                f"{counted(base.views, 'view')}, expected at most {AGREEMENT:.0e}"
            )
    return problems


def _predictor(
    graph: Graph,
    logits: Graph,
    weights: Path,
    backend: Backend,
    figures: Normalization | None,
    progress: Callable[[str], None],
) -> Predict:
    """Logits of pixels or features, by a backend's model or by an ONNX file."""
    progress(f"loading {backend.name}")
    name = graph.inputs[0].name
    if weights.suffix == ONNX:
        model = find_backend("onnx").open(weights)
        found = (model.input_shape, *model.output_shapes.values())
        expected = tuple(graph.type_of(value).features for value in (name, *graph.main))
        if found != expected:
            raise NetspecError(
                f"{weights}: computes {_shapes(found)}, and {graph.name} {_shapes(expected)}",
                "it was built from another spec",
            )
        probabilities = logits.outputs[0] != graph.main[0]

        def run(inputs: NDArray[Any]) -> Array:
            (values,) = model(network_inputs(inputs, None, figures)).values()
            return np.log(np.maximum(values, np.finfo(np.float32).tiny)) if probabilities else values

        return run
    backend.require()
    loaded = backend.load(backend.lower(logits), load_weights(weights, logits))

    def forward(inputs: NDArray[Any]) -> Array:
        return loaded.forward({name: network_inputs(inputs, None, figures)})[logits.outputs[0]]

    return forward


def _shapes(shapes: Sequence[tuple[int, ...]]) -> str:
    """An input's and the outputs', `[3, 32, 32] → [10]`."""
    first, *others = map(list, shapes)
    return f"{first} → {', '.join(map(str, others))}"
