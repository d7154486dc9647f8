"""Weights of the loss of each pixel: balanced classes, and a higher weight between regions that nearly touch.

Source: Ronneberger et al. 2015, equation 2.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from netspec.recipe import PixelWeights
from netspec.training.data.dataset import UNKNOWN
from netspec.training.data.findings import needed_for

BACKGROUND = 0  # the class between regions
REACH = 6  # distance in sigmas beyond which the exponential, below 2e-8, is neglected


def balance_of(counts: NDArray[np.int64]) -> tuple[float, ...]:
    """Return the weight of a pixel of each class, so that all classes have the same total weight and the mean is 1.

    Args:
        counts: number of pixels of each class in the training set; a class without pixels gets weight 0. Shape:
            (classes,).
    """
    weight_of_class = counts.sum() / (counts > 0).sum()
    return tuple(float(weight_of_class / count) if count else 0.0 for count in counts.tolist())


def weigh(mask: NDArray[np.uint8], rule: PixelWeights, balance: Sequence[float]) -> NDArray[np.float32]:
    """Return the weight of each pixel of a mask; 0 for `UNKNOWN`. Shapes: (H, W) → (H, W).

    Args:
        mask: class numbers and `UNKNOWN`.
        rule: the recipe's settings.
        balance: the weight of each class (see `balance_of`), if the rule balances classes.
    """
    known = mask != UNKNOWN
    weights = known.astype(np.float64)
    if rule.balance:
        table = np.zeros(UNKNOWN + 1)
        table[: len(balance)] = balance
        weights = table[mask]
    if rule.border is not None:
        distances = _distance_to_two_regions(mask, rule.sigma)
        border = rule.border * np.exp(-(distances**2) / (2 * rule.sigma**2))
        weights[mask == BACKGROUND] += border[mask == BACKGROUND]
    single: NDArray[np.float32] = weights.astype(np.float32)
    return single


def _distance_to_two_regions(mask: NDArray[np.uint8], sigma: float) -> NDArray[np.float64]:
    """Return the sum of each pixel's distances to the nearest two regions; infinite beyond `REACH`."""
    with needed_for("pixel_weights"):
        from scipy import ndimage  # noqa: PLC0415 # few recipes weigh pixels
    first, second = np.full(mask.shape, np.inf), np.full(mask.shape, np.inf)
    for regions, number, window in _regions(mask, math.ceil(REACH * sigma)):
        distances = ndimage.distance_transform_edt(regions[window] != number)
        second[window] = np.minimum(second[window], np.maximum(first[window], distances))
        first[window] = np.minimum(first[window], distances)
    total: NDArray[np.float64] = first + second
    return total


def _regions(mask: NDArray[np.uint8], reach: int) -> Iterator[tuple[NDArray[np.int32], int, tuple[slice, ...]]]:
    """Yield each region: the map of region numbers, the number of this region, and the window within `reach` of it.

    A region is a set of pixels of one class, connected along rows and columns.
    """
    from scipy import ndimage  # noqa: PLC0415 # few recipes weigh pixels

    for class_number in np.unique(mask):
        if class_number in (BACKGROUND, UNKNOWN):
            continue
        regions, _ = ndimage.label(mask == class_number)
        for number, box in enumerate(ndimage.find_objects(regions), 1):
            yield regions, number, tuple(slice(max(0, side.start - reach), side.stop + reach) for side in box)
