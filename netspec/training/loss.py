"""The loss of a sample in NumPy: the reference that every trainer is checked against.

z are the logits of K classes, e is the label smoothing, and l the label. In a sample mixed from two (mixup, CutMix), l
is the label with the larger share s, and p the other one:

    t ← s · 1[l] + (1 − s) · 1[p]          1[l] for a sample that is not mixed
    t ← (1 − e) · t + e / K
    loss ← − Σ t · log softmax(z)

The loss is linear in t, so it equals s times the smoothed loss of l plus 1 − s times the smoothed loss of p. The loss
of a step is the mean over its samples; each auxiliary output adds its own loss, times its weight.

Sources: Szegedy et al. 2016, section 7; Zhang et al. 2018, section 2; Yun et al. 2019, section 3.1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from netspec.lowering import Batch
from netspec.ops.base import Array


def targets(batch: Batch, classes: int, smoothing: float) -> NDArray[np.float64]:
    """The target distribution of each sample. Shape: (N, classes)."""
    labels = np.eye(classes)[batch.labels]
    if batch.partners is not None and batch.shares is not None:
        shares = batch.shares[:, None]
        labels = shares * labels + (1 - shares) * np.eye(classes)[batch.partners]
    smoothed: NDArray[np.float64] = (1 - smoothing) * labels + smoothing / classes
    return smoothed


def cross_entropy(logits: Array, targets: Array) -> Array:
    """The loss of each sample. Shapes: (N, classes), (N, classes) → (N,)."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    losses: Array = -(targets * (shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))).sum(axis=1)
    return losses
