"""Color jitter: brightness, contrast and saturation of a crop, each by a random factor, in a random order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from netspec.recipe import Augmentation, ColorJitter
from netspec.training.data.augment.policy import Operation, Step
from netspec.training.data.augment.streams import stream_of_each

OPERATIONS: Final[tuple[Operation, ...]] = ("brightness", "contrast", "color")


@dataclass(frozen=True, slots=True)
class Jitters:
    """The random factors and orders of n images.

    Attributes:
        jitter: the recipe's settings.
        chances: uniform numbers in [0, 1): those that determine the factors of `OPERATIONS`, and those by whose rank
            the operations follow one another. Shape: (n, 2, 3).
    """

    jitter: ColorJitter
    chances: NDArray[np.float64]

    def steps(self, row: int) -> tuple[Step, ...]:
        """Return the operations for an image, in the order in which they are applied."""
        strengths = (self.jitter.brightness, self.jitter.contrast, self.jitter.saturation)
        factors, ranks = self.chances[row].tolist()
        steps = [
            (rank, Step(operation, 1 + strength * (2 * factor - 1)))
            for operation, strength, factor, rank in zip(OPERATIONS, strengths, factors, ranks, strict=True)
            if strength
        ]
        return tuple(step for _, step in sorted(steps))


def draw_jitters(seed: int, epoch: int, indices: NDArray[np.int64], augmentation: Augmentation) -> Jitters | None:
    """Draw the color jitter of samples in an epoch. Returns None if the recipe has none."""
    if augmentation.color_jitter is None:
        return None
    chances = np.empty((len(indices), 2, len(OPERATIONS)))
    for row, random in enumerate(stream_of_each(seed, "jitter", epoch, indices)):
        random.random(out=chances[row])
    return Jitters(augmentation.color_jitter, chances)
