"""Evaluation of trained weights on a dataset, in any backend: `netspec eval`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netspec.errors import NetspecError
from netspec.graph import Graph, Node, Normalization
from netspec.graph.training import classes_of
from netspec.lowering import Backend, find_backend
from netspec.ops.base import Array
from netspec.preprocessing import normalization
from netspec.progress import Progress, silent
from netspec.recipe import Recipe
from netspec.recipe.augmentation import Views
from netspec.spec.trainable import graph_with_logits
from netspec.training.data.dataset import Dataset
from netspec.training.data.division import hold_back
from netspec.training.data.evaluation_batches import evaluation_batches
from netspec.training.data.findings import Findings, OnBadSample
from netspec.training.data.sources import open_parts
from netspec.training.data.targets import MapRule
from netspec.training.material import image_preprocessing, map_rule, require_classes
from netspec.training.network import network_inputs
from netspec.training.score import Predict, Scores, score
from netspec.weights import load_weights
from netspec.words import counted

ONNX = ".onnx"
ONE_VIEW: tuple[Views, ...] = (1,)  # for features, and for images with masks
BATCH = 64  # images in a batch, counting each view
# Tolerance for losses, float32: frameworks' logits agree within 1e-5 of the largest, and mean losses more closely.
AGREEMENT = 1e-4


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The scores of one backend with one number of views."""

    backend: str
    views: int
    scores: Scores

    @property
    def is_finite(self) -> bool:
        """Whether the loss is a number: it is not where outputs of the network overflow."""
        return math.isfinite(self.scores.loss)


def evaluation_set(
    url: str, *, holdout: float | None, seed: int, on_bad_sample: OnBadSample
) -> tuple[Dataset, tuple[str, ...]]:
    """The part of a dataset to evaluate: its validation part; if undivided, the held-back share, or else all of it.

    Args:
        url: the dataset, as `open_data` takes it.
        holdout: the share held back in the training run whose weights are evaluated.
        seed: the seed of that run's recipe, with which the held-back samples were drawn.
        on_bad_sample: whether samples that cannot be used are fatal.

    Returns:
        The dataset, and notes for the reader of its scores.

    Raises:
        NetspecError: the data cannot be read, or `holdout` is given for data that have a validation part.
    """
    findings = Findings()
    splits = open_parts(url, findings)
    findings.settle(url, on_bad_sample, len(splits.training))
    notes = (*findings.notes, *splits.notes)
    if splits.validation is not None:
        if holdout is not None:
            raise NetspecError(f"{url} is divided: its validation part is evaluated", "leave out --holdout")
        return splits.validation, notes
    if holdout:
        divided = hold_back(splits, holdout, seed)
        if divided.validation is not None:
            return divided.validation, (*notes, *divided.notes)
    return splits.training, (*notes, f"all {len(splits.training):,} samples of {url} are evaluated: it is not divided")


def evaluate(
    graph: Graph,
    weights: Path,
    backends: Sequence[Backend],
    dataset: Dataset,
    views: Sequence[Views] = (1, 10),
    *,
    recipe: Recipe | None = None,
    on_bad_sample: OnBadSample = "fatal",
    skipped: Callable[[str], None] = lambda _: None,
    progress: Progress = silent,
) -> list[Evaluation]:
    """Score weights on a dataset in every backend, with each number of views.

    Args:
        graph: the network.
        weights: a safetensors file of canonical weights; or an `.onnx` file that `netspec build` wrote, which
            onnxruntime runs unchanged.
        backends: the backends that compute the logits.
        dataset: images or features. Features, and images with masks, have one view.
        views: the numbers of views: 1 for the center crop, 10 for ten-crop evaluation.
        recipe: the recipe of the network, if it has one: its loss may add a class.
        on_bad_sample: whether an image that cannot be read is fatal or skipped.
        skipped: called for each skipped sample with a description of what is wrong with it.
        progress: called with a description of the current work.

    Raises:
        NetspecError: the network is no classifier of these samples, weights or samples cannot be read, or a
            framework is missing.
    """
    logits = graph_with_logits(graph, recipe)
    require_classes(logits, dataset)
    preprocessing = image_preprocessing(logits) if dataset.images else None
    shape = logits.inputs[0].type.features
    normalized = normalization(preprocessing, shape) if preprocessing else None
    rule = map_rule(logits)
    batches = partial(
        evaluation_batches, dataset, shape, preprocessing, on_bad_sample=on_bad_sample, skipped=skipped, rule=rule
    )
    possible = _possible_views(views, dataset, rule)
    evaluations = []
    for backend in backends:
        predict = _predictor(graph, logits, weights, backend, normalized, progress)
        for number in possible:
            counter = _SampleCounter(progress, f"{backend.name}, {counted(number, 'view')}", len(dataset))
            scores = score(predict, batches(number, max(1, BATCH // number)), classes_of(logits), scored=counter)
            evaluations.append(Evaluation(backend.name, number, scores))
    return evaluations


def _possible_views(views: Sequence[Views], dataset: Dataset, rule: MapRule | None) -> Sequence[Views]:
    """The numbers of views that the samples can have.

    Raises:
        NetspecError: they can have one only, and others are asked for.
    """
    if rule is None and dataset.images:
        return views
    if 1 not in views:
        samples = "features" if rule is None else "an image with a mask, which is scored whole"
        message = f"{dataset.origin}: expected one view of {samples}, received {views[0]}"
        raise NetspecError(message, "leave out --views")
    return ONE_VIEW


class _SampleCounter:
    """Reports the number of samples scored so far."""

    def __init__(self, progress: Progress, title: str, samples: int) -> None:
        self._progress, self._title, self._samples, self._done = progress, title, samples, 0

    def __call__(self, samples: int) -> None:
        self._done += samples
        self._progress(f"{self._title}: {self._done:,} of {self._samples:,}")


def disagreements(evaluations: Sequence[Evaluation]) -> list[str]:
    """A message for each evaluation whose loss differs from that of the first one with the same number of views."""
    first: dict[int, Evaluation] = {}
    problems = []
    for evaluation in evaluations:
        base = first.setdefault(evaluation.views, evaluation)
        if not evaluation.is_finite and not base.is_finite:
            continue
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
    normalized: Normalization | None,
    progress: Progress,
) -> Predict:
    """The function that computes logits from pixels or features, by a backend's model or by an ONNX file."""
    progress(f"loading {backend.name}")
    if weights.suffix == ONNX:
        return _saved_predictor(graph, logits, weights, normalized)
    backend.require()
    name, model = graph.inputs[0].name, backend.load(backend.lower(logits), load_weights(weights, logits))

    def predict(inputs: NDArray[Any]) -> Array:
        return model.forward({name: network_inputs(inputs, None, normalized)})[logits.outputs[0]]

    return predict


def _saved_predictor(graph: Graph, logits: Graph, path: Path, normalized: Normalization | None) -> Predict:
    """The function that computes logits by an ONNX file of the network, whose output may be their probabilities.

    A class that the recipe adds is not in the file, and is added here.
    """
    saved = find_backend("onnx").open(path)
    received = (saved.input_shape, *saved.output_shapes.values())
    expected = tuple(graph.type_of(value).features for value in (graph.inputs[0].name, *graph.main))
    if received != expected:
        raise NetspecError(
            f"{path}: computes {_shapes(received)}, and {graph.name} {_shapes(expected)}",
            "it was built from another spec",
        )
    own = graph_with_logits(graph, None)
    probabilities = own.outputs[0] != graph.main[0]
    added = None if logits.outputs == own.outputs else logits.values[logits.outputs[0]]
    if probabilities and added:
        raise NetspecError(
            f"{path}: gives probabilities, and constant_logit of the recipe stands beside logits, which those hide",
            "give the weights, as .safetensors",
        )

    def predict(inputs: NDArray[Any]) -> Array:
        (values,) = saved(network_inputs(inputs, None, normalized)).values()
        if isinstance(added, Node):
            return added.op.reference({}, values)
        return np.log(np.maximum(values, np.finfo(np.float32).tiny)) if probabilities else values

    return predict


def _shapes(shapes: Sequence[tuple[int, ...]]) -> str:
    """The shapes of an input and the outputs, `[3, 32, 32] → [10]`."""
    inputs, *outputs = map(list, shapes)
    return f"{inputs} → {', '.join(map(str, outputs))}"
