"""The recipe's loss of logits, and what of the labels they miss: a label a sample, or one a pixel."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from netspec.lowering.trainer import UNLABELLED


@dataclass(frozen=True, slots=True)
class Targets:
    """What the logits of a batch are held to.

    Attributes:
        labels: class numbers. Shape: (N,), or (N, H, W) of maps.
        weights: what each pixel's loss is multiplied by. Shape: (N, H, W).
        partners: of samples that are mixed, the class numbers of the smaller shares. Shape: (N,).
        shares: what `labels` count. Shape: (N,).
    """

    labels: Tensor
    weights: Tensor | None = None
    partners: Tensor | None = None
    shares: Tensor | None = None


def summed_loss(logits: Tensor, targets: Targets, smoothing: float) -> Tensor:
    """Cross-entropy, summed over the samples; of those that are mixed by the share of each of their labels.

    Shapes: logits (N, classes), or (N, classes, H, W) of maps.
    """
    if targets.partners is None or targets.shares is None:
        return _losses(logits, targets.labels, targets.weights, smoothing).sum()
    own, other = (_losses(logits, each, targets.weights, smoothing) for each in (targets.labels, targets.partners))
    return (targets.shares * own + (1 - targets.shares) * other).sum()


def _losses(logits: Tensor, labels: Tensor, weights: Tensor | None, smoothing: float) -> Tensor:
    """Of each sample; of a map the mean over its labelled pixels, each times its weight. Shape: (N,)."""
    if labels.ndim == 1:
        return cross_entropy(logits, labels, reduction="none", label_smoothing=smoothing)
    rows = logits.movedim(1, -1).flatten(0, -2)  # the kernels for maps add up in no fixed order on a GPU
    losses = cross_entropy(
        rows, labels.flatten(), ignore_index=UNLABELLED, reduction="none", label_smoothing=smoothing
    ).view(labels.shape)
    if weights is not None:
        losses = losses * weights
    return losses.flatten(1).sum(1) / _labelled(labels)


def missed(logits: Tensor, labels: Tensor) -> Tensor:
    """How many samples have another class than the largest logit; of maps the sum of their shares. float64."""
    wrong = (logits.argmax(1) != labels) & (labels != UNLABELLED)
    if labels.ndim == 1:
        return wrong.sum().double()
    return (wrong.flatten(1).sum(1).double() / _labelled(labels)).sum()


def _labelled(labels: Tensor) -> Tensor:
    """Pixels of each map of which the class is known, at least 1. Shape: (N,)."""
    return torch.clamp((labels != UNLABELLED).flatten(1).sum(1), min=1)
