"""The recipe's loss, and the count of wrong predictions, with one label for each sample or for each pixel; traced."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from netspec.lowering.batch import UNLABELLED

# `labels`, and if there are any, `partners` and `shares`, or `weights`; or `cotangents`; see `Batch`.
Targets = Mapping[str, Any]


def losses(logits: tf.Tensor, targets: Targets, smoothing: float) -> tf.Tensor:
    """The cross-entropy of each sample; for mixed samples, weighted by the shares of their two labels. Shape: (N,).

    Shapes: logits (N, classes) with labels (N,); or (N, H, W, classes) with labels and weights (N, H, W); or any, with
    cotangents of that shape.
    """
    if "cotangents" in targets:
        products = tf.cast(targets["cotangents"], logits.dtype) * logits
        return tf.reduce_sum(tf.reshape(products, [tf.shape(products)[0], -1]), axis=1)
    major = _losses(logits, targets["labels"], targets.get("weights"), smoothing)
    if "partners" not in targets:
        return major
    shares = tf.cast(targets["shares"], major.dtype)
    return shares * major + (1 - shares) * _losses(logits, targets["partners"], targets.get("weights"), smoothing)


def _losses(logits: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor | None, smoothing: float) -> tf.Tensor:
    """The loss of each sample; for a map, the mean over labelled pixels of weight times cross-entropy. Shape: (N,)."""
    if labels.shape.rank == 1:
        return _cross_entropy(logits, labels, smoothing)
    known = labels != UNLABELLED
    pixels = _cross_entropy(logits, tf.maximum(labels, 0), smoothing)
    pixels = tf.where(known, pixels, tf.zeros_like(pixels))
    if weights is not None:
        pixels *= tf.cast(weights, pixels.dtype)
    return tf.reduce_sum(pixels, axis=(1, 2)) / _labelled(known, pixels.dtype)


def count_wrong(logits: tf.Tensor, targets: Targets) -> tf.Tensor:
    """The number of wrong predictions, in float64: 0 without labels, of a map the wrong share of labelled pixels."""
    if "cotangents" in targets:
        return tf.constant(0.0, tf.float64)
    labels = targets["labels"]
    wrong = tf.argmax(logits, axis=-1) != labels
    if labels.shape.rank == 1:
        return tf.cast(tf.math.count_nonzero(wrong), tf.float64)
    known = labels != UNLABELLED
    counts = tf.math.count_nonzero(wrong & known, axis=(1, 2), dtype=tf.float64)
    return tf.reduce_sum(counts / _labelled(known, tf.float64))


def _labelled(known: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """The number of labelled pixels of each map, at least 1. Shape: (N,)."""
    return tf.maximum(tf.math.count_nonzero(known, axis=(1, 2), dtype=dtype), 1)


def _cross_entropy(logits: tf.Tensor, labels: tf.Tensor, smoothing: float) -> tf.Tensor:
    """The cross-entropy of each label, whose target is smoothing / classes, plus 1 − smoothing for the true class."""
    if not smoothing:
        return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    other = smoothing / logits.shape[-1]
    targets = tf.one_hot(labels, logits.shape[-1], other + 1 - smoothing, other, dtype=logits.dtype)
    return tf.nn.softmax_cross_entropy_with_logits(targets, logits)
