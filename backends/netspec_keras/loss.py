"""The recipe's loss of logits, and what of the labels they miss, to be traced: a label a sample, or one a pixel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from netspec.lowering.trainer import UNLABELLED

Given = Mapping[str, Any]  # `labels`; where there are any `partners` and `shares`, and of maps `weights`


def losses(logits: tf.Tensor, given: Given, smoothing: float) -> tf.Tensor:
    """Cross-entropy of each sample; of one that is mixed by the share of each of its labels. Shape: (N,).

    Shapes: logits (N, classes) with labels (N,); or (N, H, W, classes) with labels and weights (N, H, W).
    """
    own = _of_labels(logits, given["labels"], given, smoothing)
    if "partners" not in given:
        return own
    shares = tf.cast(given["shares"], own.dtype)
    return shares * own + (1 - shares) * _of_labels(logits, given["partners"], given, smoothing)


def _of_labels(logits: tf.Tensor, labels: tf.Tensor, given: Given, smoothing: float) -> tf.Tensor:
    """Of each sample by these labels; of a map the mean over labelled pixels, each times its weight. Shape: (N,)."""
    if labels.shape.rank == 1:
        return _cross_entropy(logits, labels, smoothing)
    known = labels != UNLABELLED
    found = _cross_entropy(logits, tf.maximum(labels, 0), smoothing)
    found = tf.where(known, found, tf.zeros_like(found))
    if "weights" in given:
        found *= tf.cast(given["weights"], found.dtype)
    return tf.reduce_sum(found, axis=(1, 2)) / _labelled(known, found.dtype)


def missed(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """How many samples have another class than the largest logit; of maps the sum of their shares. float64."""
    wrong = tf.argmax(logits, axis=-1) != labels
    if labels.shape.rank == 1:
        return tf.cast(tf.math.count_nonzero(wrong), tf.float64)
    known = labels != UNLABELLED
    counts = tf.math.count_nonzero(wrong & known, axis=(1, 2), dtype=tf.float64)
    return tf.reduce_sum(counts / _labelled(known, tf.float64))


def _labelled(known: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Pixels of each map of which the class is known, at least 1. Shape: (N,)."""
    return tf.maximum(tf.math.count_nonzero(known, axis=(1, 2), dtype=dtype), 1)


def _cross_entropy(logits: tf.Tensor, labels: tf.Tensor, smoothing: float) -> tf.Tensor:
    """Of each label: e / classes of the target for every class, 1 − e more for the true one."""
    if not smoothing:
        return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    other = smoothing / logits.shape[-1]
    targets = tf.one_hot(labels, logits.shape[-1], other + 1 - smoothing, other, dtype=logits.dtype)
    return tf.nn.softmax_cross_entropy_with_logits(targets, logits)
