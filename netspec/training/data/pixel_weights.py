"""How much the loss of each pixel counts: classes in balance, and the background between regions that nearly touch.

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

BACKGROUND = 0  # the class that lies between regions
REACH = 6  # in sigmas: from there on, the exponential is below 2e-8


def balance_of(counts: NDArray[np.int64]) -> tuple[float, ...]:
    """What a pixel of each class counts: the same for all classes in the sum, and 1 on average. Shape: (classes,).

    Args:
        counts: pixels of each class in the training set; a class without any counts nothing.
    """
    present = counts > 0
    whole = counts.sum() / present.sum()
    return tuple(float(whole / count) if count else 0.0 for count in counts.tolist())


def weigh(mask: NDArray[np.uint8], rule: PixelWeights, balance: Sequence[float]) -> NDArray[np.float32]:
    """The weight of each pixel of a mask; 0 where nothing is known. Shapes: (H, W) → (H, W).

    Args:
        mask: class numbers, and `UNKNOWN`.
        rule: of the recipe.
        balance: what each class counts, where the rule balances them.
    """
    known = mask != UNKNOWN
    weights = known.astype(np.float64)
    if rule.balance:
        table = np.zeros(UNKNOWN + 1)
        table[: len(balance)] = balance
        weights = table[mask]
    if rule.border is not None:
        between = rule.border * np.exp(-(_to_two_regions(mask, rule.sigma) ** 2) / (2 * rule.sigma**2))
        weights[mask == BACKGROUND] += between[mask == BACKGROUND]
    found: NDArray[np.float32] = weights.astype(np.float32)
    return found


def _to_two_regions(mask: NDArray[np.uint8], sigma: float) -> NDArray[np.float64]:
    """The sum of each pixel's distances to the nearest two regions; infinite where they are too far to count."""
    with needed_for("pixel_weights"):
        from scipy import ndimage  # noqa: PLC0415 # few recipes weigh pixels
    first, second = np.full(mask.shape, np.inf), np.full(mask.shape, np.inf)
    for regions, number, around in _regions(mask, math.ceil(REACH * sigma)):
        distances = ndimage.distance_transform_edt(regions[around] != number)
        second[around] = np.minimum(second[around], np.maximum(first[around], distances))
        first[around] = np.minimum(first[around], distances)
    both: NDArray[np.float64] = first + second
    return both


def _regions(mask: NDArray[np.uint8], reach: int) -> Iterator[tuple[NDArray[np.int32], int, tuple[slice, ...]]]:
    """Each region of one class, connected along rows and columns: numbers of regions, its own, and what is near it."""
    from scipy import ndimage  # noqa: PLC0415 # likewise

    for kind in np.unique(mask):
        if kind in (BACKGROUND, UNKNOWN):
            continue
        regions, _ = ndimage.label(mask == kind)
        for number, box in enumerate(ndimage.find_objects(regions), 1):
            yield regions, number, tuple(slice(max(0, side.start - reach), side.stop + reach) for side in box)
