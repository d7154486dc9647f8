"""Scores of a classifier: loss, errors, confusion matrix and mean IoU, computed from its logits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sized
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netspec.errors import NetspecError
from netspec.lowering.batch import UNLABELLED
from netspec.ops.base import Array

TOP = 5
Predict = Callable[[NDArray[Any]], Array]
Total = Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Scores:
    """The scores of a network over a dataset. In segmentation, labelled pixels are scored in place of samples.

    Attributes:
        loss: the mean cross-entropy, of probabilities averaged over views. All labelled pixels count equally, whatever
            weights the recipe gives them.
        error: the share whose most probable class is not the label.
        error_top5: the share whose label is not among the five most probable classes; None with five classes or fewer,
            and in segmentation.
        confusion: the number of samples, or labelled pixels, by label (rows) and most probable class (columns).
        samples: the number of samples.
        mean_iou: in segmentation, the mean over classes of intersection over union: of the pixels that are labelled or
            predicted as the class, the share that are both (Everingham et al. 2010, section 4.1.3). Classes that are
            neither labelled nor predicted anywhere are left out.
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
    scored: Callable[[int], None] = lambda _: None,
) -> Scores:
    """Score the predictions for every sample, with probabilities averaged over its views.

    Args:
        predict: computes logits (N, classes), or (N, classes, H, W), of inputs.
        batches: for each batch its inputs, its labels, and the samples that it completes, of which only the number is
            used: an image with a mask may be cut into several tiles, but is one sample.
            Shapes: images (N, views, H, W, C), features (N, …); labels (N,) or (N, H, W).
        classes: the number of classes of the network.
        total: sums an array over all processes that share the samples.
        scored: called after each batch with the number of its samples.

    Raises:
        NetspecError: there are no samples, or no labels.
    """
    sums = np.zeros(4)  # losses, labels not in the top five, samples, batches whose labels are maps
    confusion = np.zeros((classes, classes))
    for inputs, labels, samples_of_batch in batches:
        loss, missed, batch_confusion = _compare(np.moveaxis(_log_probabilities(predict, inputs), 1, -1), labels)
        sums += loss, missed, len(samples_of_batch), labels.ndim > 1
        confusion += batch_confusion
        scored(len(samples_of_batch))
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


def _compare(log_probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> tuple[float, int, NDArray[np.int64]]:
    """The sum of the losses, the number of labels not among the five most probable classes, and the confusion.

    Of classes with equal probabilities the first counts as the more probable one. A label whose probability is not a
    number is not among the five.

    Shapes: log_probabilities (…, classes), labels (…) → confusion (classes, classes).
    """
    classes, known = log_probabilities.shape[-1], labels != UNLABELLED
    label = np.where(known, labels, 0)[..., None]
    of_label = np.take_along_axis(log_probabilities, label, axis=-1)
    before = (log_probabilities > of_label) | ((log_probabilities == of_label) & (np.arange(classes) < label))
    missed = (before.sum(axis=-1) >= TOP) | np.isnan(of_label[..., 0])
    pairs = labels[known] * classes + log_probabilities.argmax(axis=-1)[known]
    confusion = np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    return -float(of_label[known].sum()), int(missed.sum()), confusion


def _mean_iou(confusion: NDArray[np.float64]) -> float:
    intersection = np.diagonal(confusion)
    union = confusion.sum(axis=0) + confusion.sum(axis=1) - intersection
    return float((intersection[union > 0] / union[union > 0]).mean())


def _log_probabilities(predict: Predict, inputs: NDArray[Any]) -> NDArray[np.float64]:
    """The logarithms of the mean probabilities over views.

    Without the logarithm, all classes far below the best one would have the probability 0, and so the same rank.
    """
    if inputs.ndim != 5:
        return log_softmax(predict(inputs))
    logits = predict(inputs.reshape(-1, *inputs.shape[2:]))
    of_views = log_softmax(logits).reshape(len(inputs), -1, *logits.shape[1:])
    views = of_views.shape[1]
    return of_views[:, 0] if views == 1 else np.logaddexp.reduce(of_views, axis=1) - np.log(views)


def log_softmax(logits: Array) -> NDArray[np.float64]:
    """The log-softmax of logits over their second axis, the classes, in float64; NaN where a logit is not finite."""
    with np.errstate(invalid="ignore"):
        shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    log_probabilities: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return log_probabilities
