"""What the loss reads of masks: a label for each pixel of the network's output, in the middle of its input."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from netspec.lowering.trainer import UNLABELLED
from netspec.preprocessing import Pixels, center
from netspec.recipe import PixelWeights
from netspec.training.data.dataset import UNKNOWN
from netspec.training.data.pixel_weights import weigh


@dataclass(frozen=True, slots=True)
class MapRule:
    """How masks become labels.

    Attributes:
        classes: that the network tells apart.
        size: height and width of its output.
        weights: of the pixels, as the recipe has them.
        balance: what each class counts, where those balance them.
    """

    classes: int
    size: tuple[int, int]
    weights: PixelWeights | None = None
    balance: tuple[float, ...] = ()

    def margins(self, height: int, width: int) -> tuple[int, int]:
        """The rows and columns of the input, both sides together, that are around the output."""
        return height - self.size[0], width - self.size[1]


class Targets:
    """The labels of a batch and their weights, filled sample by sample.

    Attributes:
        labels: class numbers, `UNLABELLED` where there is none. Shape: (n, H, W), of the output.
        weights: what the loss of each is multiplied by, where the rule says so. Shape: (n, H, W).
    """

    def __init__(self, rule: MapRule, samples: int) -> None:
        self._rule = rule
        self.labels = np.empty((samples, *rule.size), np.int64)
        self.weights = np.empty((samples, *rule.size), np.float32) if rule.weights else None

    def fill(self, position: int, mask: Pixels) -> None:
        """Take the middle of a mask that is laid over the network's input. Shape: (H, W, 1), of the input.

        It is weighed as a whole: a region beyond the output is near what is inside of it.
        """
        own = center(mask, *self._rule.size)[..., 0]
        self.labels[position] = own
        self.labels[position][own == UNKNOWN] = UNLABELLED
        if self.weights is not None and self._rule.weights is not None:
            weights = weigh(mask[..., 0], self._rule.weights, self._rule.balance)
            self.weights[position] = center(weights[..., None], *self._rule.size)[..., 0]

    def of(self, good: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float32] | None]:
        """The labels and the weights of some positions."""
        if len(good) == len(self.labels):
            return self.labels, self.weights
        return self.labels[good], None if self.weights is None else self.weights[good]


def mirrored(image: Pixels, margins: tuple[int, int]) -> Pixels:
    """An image that goes on around itself, mirrored: where the input is larger than the output, what it reads there.

    Source: Ronneberger et al. 2015, section 2, the overlap-tile strategy.
    """
    if not any(margins):
        return image
    sides = [(all_ // 2, all_ - all_ // 2) for all_ in margins]
    return np.pad(image, (*sides, (0, 0)), mode="reflect")
