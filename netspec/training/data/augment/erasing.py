"""Random erasing: which rectangle of an image is erased, and with what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from netspec.preprocessing import Pixels
from netspec.recipe import Augmentation, RandomErasing
from netspec.training.data.augment.parts import between, part_of
from netspec.training.data.augment.streams import stream_of_each
from netspec.weights import stream


class Box(NamedTuple):
    """A rectangle of an image. Units: pixels."""

    top: int
    left: int
    rows: int
    columns: int


@dataclass(frozen=True, slots=True)
class Erasures:
    """What is erased of images, a row for each.

    Attributes:
        erasing: how.
        chances: numbers from 0 to 1 that decide whether there is a rectangle, its area, its aspect ratio, and where its
            top and its left are. Shape: (n, 5).
        seed, epoch: of the random values.
        indices: of the samples in their dataset. Shape: (n,).
    """

    erasing: RandomErasing
    chances: NDArray[np.float64]
    seed: int
    epoch: int
    indices: NDArray[np.int64]

    def box(self, row: int, image: tuple[int, int]) -> Box | None:
        """What is erased of an image of this many rows and columns, legal places equally likely; None for nothing."""
        whether, area, ratio, down, right = self.chances[row].tolist()
        if whether >= self.erasing.probability:
            return None
        rows, columns = part_of(image, between(*self.erasing.area, area), self.erasing.aspect_ratio, ratio)
        return Box(int(down * (image[0] - rows + 1)), int(right * (image[1] - columns + 1)), rows, columns)

    def erase(self, pixels: Pixels, row: int) -> None:
        """Put random values in the place of what is erased. Shape: (H, W, C)."""
        box = self.box(row, (pixels.shape[0], pixels.shape[1]))
        if box is None:
            return
        # A stream of its own, made when it is needed: of most images nothing is erased.
        random = stream(self.seed, "erased", str(self.epoch), str(self.indices[row]))
        place = pixels[box.top : box.top + box.rows, box.left : box.left + box.columns]
        place[...] = random.integers(0, 256, place.shape, np.uint8)


def draw_erasures(seed: int, epoch: int, indices: NDArray[np.int64], augmentation: Augmentation) -> Erasures | None:
    """What is erased of samples in an epoch; None where the recipe erases nothing."""
    erasing = augmentation.random_erasing
    if erasing is None:
        return None
    chances = np.empty((len(indices), 5))
    for row, random in enumerate(stream_of_each(seed, "erase", epoch, indices)):
        random.random(out=chances[row])
    return Erasures(erasing, chances, seed, epoch, indices)
