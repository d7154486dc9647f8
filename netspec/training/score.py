"""How well a network tells classes apart: loss, errors and confusion, from logits alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sized
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netspec.errors import NetspecError
from netspec.lowering.trainer import UNLABELLED
from netspec.ops.base import Array

TOP = 5
Predict = Callable[[NDArray[Any]], Array]
Total = Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Scores:
    """Over all samples.

    Attributes:
        loss: mean cross-entropy of the label, of probabilities averaged over views; of maps, of all labelled pixels,
            whatever the recipe weighs them by.
        error: share whose most probable class is not the label; of all labelled pixels, where labels are maps.
        error_top5: share whose label is not among the five most probable; None with five classes or fewer, and of maps.
        confusion: samples, or labelled pixels, by label (rows) and most probable class (columns).
        samples: how many there were.
        mean_iou: of maps, the mean over the classes of pixels that are of a class and taken for it, as a share of those
            that are either (Everingham et al. 2010, section 4.1.3); a class that is nowhere has no part in it.
    """

    loss: float
    error: float
    error_top5: float | None
    confusion: NDArray[np.int64]
    samples: int
    mean_iou: float | None = None


def score(
    predict: Predict,
    batches: Iterable[tuple[NDArray[Any], NDArray[np.int64], Sized]],
    classes: int,
    total: Total = lambda values: values,
    seen: Callable[[int], None] = lambda _: None,
) -> Scores:
    """Predict every sample, average the probabilities of its views, and count.

    Args:
        predict: logits (N, classes) of inputs, or (N, classes, H, W).
        batches: inputs, labels, and the samples that they are: an image with a mask may be several tiles.
            Shapes: images (N, views, H, W, C), features (N, …); labels (N,) or (N, H, W).
        classes: of the network.
        total: sums an array over all processes that share the samples.
        seen: called with the number of samples scored after each batch.

    Raises:
        NetspecError: there are no samples, or no labels.
    """
    sums = np.zeros(4)  # of the loss, of labels outside the five best, of samples, of batches of maps
    confusion = np.zeros((classes, classes))
    for inputs, labels, counted in batches:
        loss, outside, pairs = _compare(np.moveaxis(_probabilities(predict, inputs), 1, -1), labels)
        sums += loss, outside, len(counted), labels.ndim > 1
        confusion += pairs
        seen(len(counted))
    sums, confusion = total(sums), total(confusion)
    samples, labelled = int(sums[2]), confusion.sum()
    if not samples:
        raise NetspecError("there is no sample to score: every one of them was left out")
    if not labelled:
        raise NetspecError("there is nothing to score: no pixel is labelled")
    return Scores(
        loss=float(sums[0] / labelled),
        error=float(1 - np.trace(confusion) / labelled),
        error_top5=float(sums[1] / samples) if classes > TOP and not sums[3] else None,
        confusion=confusion.astype(np.int64),
        samples=samples,
        mean_iou=_mean_iou(confusion) if sums[3] else None,
    )


def _compare(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> tuple[float, int, NDArray[np.int64]]:
    """The sum of the losses, how many labels are not among the five most probable, and the confusion.

    Shapes: probabilities (…, classes), labels (…) → confusion (classes, classes).
    """
    classes, known = probabilities.shape[-1], labels != UNLABELLED
    own = np.take_along_axis(probabilities, np.where(known, labels, 0)[..., None], axis=-1)[..., 0]
    rank = (probabilities > own[..., None]).sum(axis=-1)
    losses = -np.log(np.maximum(own[known], np.finfo(np.float64).tiny))
    pairs = labels[known] * classes + probabilities.argmax(axis=-1)[known]
    confusion = np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    return float(losses.sum()), int((rank >= TOP).sum()), confusion


def _mean_iou(confusion: NDArray[np.float64]) -> float:
    both = np.diagonal(confusion)
    either = confusion.sum(axis=0) + confusion.sum(axis=1) - both
    return float((both[either > 0] / either[either > 0]).mean())


def _probabilities(predict: Predict, inputs: NDArray[Any]) -> NDArray[np.float64]:
    if inputs.ndim != 5:
        return softmax(predict(inputs))
    logits = predict(inputs.reshape(-1, *inputs.shape[2:]))
    mean: NDArray[np.float64] = softmax(logits).reshape(len(inputs), -1, *logits.shape[1:]).mean(axis=1)
    return mean


def softmax(logits: Array) -> NDArray[np.float64]:
    """Probabilities of logits, classes along the second axis, in float64."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    probabilities: NDArray[np.float64] = exponentials / exponentials.sum(axis=1, keepdims=True)
    return probabilities
