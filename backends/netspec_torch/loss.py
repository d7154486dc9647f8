"""The recipe's loss of logits, and what of the labels they miss: a label a sample, or one a pixel."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from netspec.lowering.trainer import UNLABELLED


def summed_loss(logits: Tensor, labels: Tensor, weights: Tensor | None, smoothing: float) -> Tensor:
    """Cross-entropy, summed over the samples; of a map the mean over its labelled pixels, each times its weight.

    Shapes: logits (N, classes) with labels (N,); or (N, classes, H, W) with labels and weights (N, H, W).
    """
    if labels.ndim == 1:
        return cross_entropy(logits, labels, reduction="sum", label_smoothing=smoothing)
    rows = logits.movedim(1, -1).flatten(0, -2)  # the kernels for maps add up in no fixed order on a GPU
    losses = cross_entropy(
        rows, labels.flatten(), ignore_index=UNLABELLED, reduction="none", label_smoothing=smoothing
    ).view(labels.shape)
    if weights is not None:
        losses = losses * weights
    return (losses.flatten(1).sum(1) / _labelled(labels)).sum()


def missed(logits: Tensor, labels: Tensor) -> Tensor:
    """How many samples have another class than the largest logit; of maps the sum of their shares. float64."""
    wrong = (logits.argmax(1) != labels) & (labels != UNLABELLED)
    if labels.ndim == 1:
        return wrong.sum().double()
    return (wrong.flatten(1).sum(1).double() / _labelled(labels)).sum()


def _labelled(labels: Tensor) -> Tensor:
    """Pixels of each map of which the class is known, at least 1. Shape: (N,)."""
    return torch.clamp((labels != UNLABELLED).flatten(1).sum(1), min=1)
