"""What the loss of a sample is, stated in NumPy: the meaning that every trainer is held to.

With z the logits of K classes, e the label smoothing, l the label and, of a sample mixed of two, p that of the smaller
share and s the larger share:

    t ← s · 1[l] + (1 − s) · 1[p]          1[l] where nothing is mixed
    t ← (1 − e) · t + e / K
    loss ← − Σ t · log softmax(z)

It is linear in t: s times the loss of l and 1 − s times that of p, both smoothed, is the same. A step's loss is the
mean over its samples; auxiliary outputs add theirs, times their weights.

Sources: Szegedy et al. 2016, section 7; Zhang et al. 2018, section 2; Yun et al. 2019, section 3.1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from netspec.lowering import Batch
from netspec.ops.base import Array


def targets(batch: Batch, classes: int, smoothing: float) -> NDArray[np.float64]:
    """What the softmax of each sample is to be. Shape: (N, classes)."""
    labels = np.eye(classes)[batch.labels]
    if batch.partners is not None and batch.shares is not None:
        shares = batch.shares[:, None]
        labels = shares * labels + (1 - shares) * np.eye(classes)[batch.partners]
    smoothed: NDArray[np.float64] = (1 - smoothing) * labels + smoothing / classes
    return smoothed


def cross_entropy(logits: Array, targets: Array) -> Array:
    """The loss of each sample. Shapes: (N, classes), (N, classes) → (N,)."""
    lowered = logits - logits.max(axis=1, keepdims=True)
    losses: Array = -(targets * (lowered - np.log(np.exp(lowered).sum(axis=1, keepdims=True)))).sum(axis=1)
    return losses
