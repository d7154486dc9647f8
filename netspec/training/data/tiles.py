"""Cover a whole image with tiles, to score it by a network with a smaller output. Each pixel is scored once.

Source: Ronneberger et al. 2015, section 2 and figure 2, the overlap-tile strategy.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from netspec.lowering.batch import UNLABELLED
from netspec.preprocessing import Pixels, center
from netspec.training.data.dataset import UNKNOWN


def tiles_of(
    image: Pixels, mask: Pixels, input_size: tuple[int, int], output_size: tuple[int, int]
) -> tuple[Pixels, NDArray[np.int64]]:
    """Return the inputs of the network for each tile, and the labels of its output.

    The last tile of each row and column is aligned with the edge of the image, so it may overlap the tile before it.
    Labels in the overlap are `UNLABELLED`, so that no pixel counts twice.

    Args:
        image: padded by mirroring with the margin that the input has around the output. Shape: (H, W, C).
        mask: padded likewise. Shape: (H, W, 1).
        input_size: height and width of the network's input.
        output_size: height and width of its output, which is the centre of its input.

    Returns:
        Shapes: (tiles, *input_size, C) and (tiles, *output_size).
    """
    starts = [
        _starts(size - length + step, step)
        for size, length, step in zip(image.shape[:2], input_size, output_size, strict=True)
    ]
    inputs, labels = [], []
    for (top, overlap_rows), (left, overlap_columns) in product(*starts):
        window = slice(top, top + input_size[0]), slice(left, left + input_size[1])
        inputs.append(image[window])
        tile_labels = center(mask[window], *output_size)[..., 0].astype(np.int64)
        tile_labels[tile_labels == UNKNOWN] = UNLABELLED
        tile_labels[:overlap_rows] = tile_labels[:, :overlap_columns] = UNLABELLED
        labels.append(tile_labels)
    return np.stack(inputs), np.stack(labels)


def _starts(size: int, step: int) -> list[tuple[int, int]]:
    """Return the start of each tile along an axis, and its overlap with the tile before it.

    >>> _starts(10, 4), _starts(4, 4)
    ([(0, 0), (4, 0), (6, 2)], [(0, 0)])
    """
    whole = [(start, 0) for start in range(0, size - step + 1, step)]
    remainder = size % step
    return [*whole, (size - step, step - remainder)] if remainder else whole
