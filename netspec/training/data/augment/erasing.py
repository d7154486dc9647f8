"""Random erasing: replace a random rectangle of an image by random values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from netspec.preprocessing import Pixels
from netspec.recipe import Augmentation, RandomErasing
from netspec.training.data.augment.parts import interpolate, part_size
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
    """The rectangles to erase from n images.

    Attributes:
        erasing: the recipe's settings.
        chances: uniform numbers in [0, 1) that determine whether a rectangle is erased, its area, its aspect ratio, its
            top and its left. Shape: (n, 5).
        seed, epoch: from which the random values are drawn.
        indices: the indices of the samples in their dataset. Shape: (n,).
    """

    erasing: RandomErasing
    chances: NDArray[np.float64]
    seed: int
    epoch: int
    indices: NDArray[np.int64]

    def box(self, row: int, image: tuple[int, int]) -> Box | None:
        """Return the rectangle to erase from an image of this height and width, or None. Positions are uniform."""
        whether, area, ratio, down, right = self.chances[row].tolist()
        if whether >= self.erasing.probability:
            return None
        rows, columns = part_size(image, interpolate(*self.erasing.area, area), self.erasing.aspect_ratio, ratio)
        return Box(int(down * (image[0] - rows + 1)), int(right * (image[1] - columns + 1)), rows, columns)

    def erase(self, pixels: Pixels, row: int) -> None:
        """Overwrite the rectangle with random values, in place. Shape: (H, W, C)."""
        box = self.box(row, (pixels.shape[0], pixels.shape[1]))
        if box is None:
            return
        # The stream is created here, not in `draw_erasures`, since most images are not erased.
        random = stream(self.seed, "erased", str(self.epoch), str(self.indices[row]))
        region = pixels[box.top : box.top + box.rows, box.left : box.left + box.columns]
        region[...] = random.integers(0, 256, region.shape, np.uint8)


def draw_erasures(seed: int, epoch: int, indices: NDArray[np.int64], augmentation: Augmentation) -> Erasures | None:
    """Draw the rectangles to erase from samples in an epoch. Returns None if the recipe has no random erasing."""
    erasing = augmentation.random_erasing
    if erasing is None:
        return None
    chances = np.empty((len(indices), 5))
    for row, random in enumerate(stream_of_each(seed, "erase", epoch, indices)):
        random.random(out=chances[row])
    return Erasures(erasing, chances, seed, epoch, indices)
