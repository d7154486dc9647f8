"""An image that is scored whole by a network with a smaller output: in tiles, each pixel in one of them.

Source: Ronneberger et al. 2015, section 2 and figure 2, the overlap-tile strategy.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from netspec.lowering.trainer import UNLABELLED
from netspec.preprocessing import Pixels, center
from netspec.training.data.dataset import UNKNOWN


def tiles_of(
    image: Pixels, mask: Pixels, read: tuple[int, int], given: tuple[int, int]
) -> tuple[Pixels, NDArray[np.int64]]:
    """What a network reads of an image, tile by tile, and the labels of what it gives.

    The last tiles of a row and of a column end with the image, and lie over those before: there the labels are
    `UNLABELLED`, so that no pixel counts twice.

    Args:
        image: with what the network reads around its output, mirrored. Shape: (H, W, C).
        mask: likewise. Shape: (H, W, 1).
        read: height and width of the network's input.
        given: of its output, which lies in the middle.

    Returns:
        Shapes: (tiles, *read, C) and (tiles, *given).
    """
    starts = [_starts(size - around + own, own) for size, around, own in zip(image.shape[:2], read, given, strict=True)]
    inputs, labels = [], []
    for (top, rows), (left, columns) in product(*starts):
        window = slice(top, top + read[0]), slice(left, left + read[1])
        inputs.append(image[window])
        own = center(mask[window], *given)[..., 0].astype(np.int64)
        own[own == UNKNOWN] = UNLABELLED
        own[:rows] = own[:, :columns] = UNLABELLED
        labels.append(own)
    return np.stack(inputs), np.stack(labels)


def _starts(size: int, step: int) -> list[tuple[int, int]]:
    """Where the tiles of a line begin, and how much of each lies over the one before.

    >>> _starts(10, 4), _starts(4, 4)
    ([(0, 0), (4, 0), (6, 2)], [(0, 0)])
    """
    whole = [(start, 0) for start in range(0, size - step + 1, step)]
    left = size % step
    return [*whole, (size - step, step - left)] if left else whole
