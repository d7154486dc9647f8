"""The recipe's loss, and the count of wrong predictions, with one label for each sample or for each pixel."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from netspec.lowering.batch import UNLABELLED


@dataclass(frozen=True, slots=True)
class Targets:
    """The targets of a batch, as tensors; see `Batch` for their meaning.

    Attributes:
        labels: class numbers. Shape: (N,), or (N, H, W) for segmentation.
        weights: the factor on each pixel's loss. Shape: (N, H, W).
        partners: for mixed samples, the class with the smaller share. Shape: (N,).
        shares: the share of `labels`; `partners` have the rest. Shape: (N,).
        cotangents: with which the loss is an inner product, instead of labels. Shape: that of the output.
    """

    labels: Tensor
    weights: Tensor | None = None
    partners: Tensor | None = None
    shares: Tensor | None = None
    cotangents: Tensor | None = None


def summed_loss(logits: Tensor, targets: Targets, smoothing: float) -> Tensor:
    """The cross-entropy summed over the samples; for mixed samples, weighted by the shares of their two labels.

    Shapes: logits (N, classes), or (N, classes, H, W) for segmentation; any with cotangents.
    """
    if targets.cotangents is not None:
        return (targets.cotangents * logits).sum()
    if targets.partners is None or targets.shares is None:
        return _losses(logits, targets.labels, targets.weights, smoothing).sum()
    major, minor = (_losses(logits, each, targets.weights, smoothing) for each in (targets.labels, targets.partners))
    return (targets.shares * major + (1 - targets.shares) * minor).sum()


def _losses(logits: Tensor, labels: Tensor, weights: Tensor | None, smoothing: float) -> Tensor:
    """The loss of each sample; for a map, the mean over labelled pixels of weight times cross-entropy. Shape: (N,)."""
    if labels.ndim == 1:
        return cross_entropy(logits, labels, reduction="none", label_smoothing=smoothing)
    rows = logits.movedim(1, -1).flatten(0, -2)  # on a GPU, the kernels for maps are not deterministic
    losses = cross_entropy(
        rows, labels.flatten(), ignore_index=UNLABELLED, reduction="none", label_smoothing=smoothing
    ).view(labels.shape)
    if weights is not None:
        losses = losses * weights
    return losses.flatten(1).sum(1) / _labelled(labels)


def count_wrong(logits: Tensor, targets: Targets) -> Tensor:
    """The number of wrong predictions, in float64: 0 without labels, of a map the wrong share of labelled pixels."""
    if targets.cotangents is not None:
        return torch.zeros((), dtype=torch.float64, device=logits.device)
    labels = targets.labels
    wrong = (logits.argmax(1) != labels) & (labels != UNLABELLED)
    if labels.ndim == 1:
        return wrong.sum().double()
    return (wrong.flatten(1).sum(1).double() / _labelled(labels)).sum()


def _labelled(labels: Tensor) -> Tensor:
    """The number of labelled pixels of each map, at least 1. Shape: (N,)."""
    return torch.clamp((labels != UNLABELLED).flatten(1).sum(1), min=1)
