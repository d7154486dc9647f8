"""Convert masks to targets of the loss: a label for each pixel of the output, which is the centre of the input."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from netspec.lowering.batch import UNLABELLED
from netspec.preprocessing import Pixels, center
from netspec.recipe import PixelWeights
from netspec.training.data.dataset import UNKNOWN
from netspec.training.data.pixel_weights import weigh


@dataclass(frozen=True, slots=True)
class MapRule:
    """How masks are converted to labels.

    Attributes:
        classes: number of classes of the network.
        size: height and width of its output.
        weights: the recipe's rule for pixel weights.
        balance: the weight of a pixel of each class, if `weights` balances classes.
    """

    classes: int
    size: tuple[int, int]
    weights: PixelWeights | None = None
    balance: tuple[float, ...] = ()

    def margins(self, height: int, width: int) -> tuple[int, int]:
        """Return by how many rows and columns an input of this size is larger than the output, on both sides."""
        return height - self.size[0], width - self.size[1]


class Targets:
    """The labels of a batch and their weights, filled sample by sample.

    Attributes:
        labels: class numbers, `UNLABELLED` if unknown. Shape: (n, H, W), that of the output.
        weights: the factor on the loss of each pixel; None if the rule has no weights. Shape: (n, H, W).
    """

    def __init__(self, rule: MapRule, samples: int) -> None:
        self._rule = rule
        self.labels = np.empty((samples, *rule.size), np.int64)
        self.weights = np.empty((samples, *rule.size), np.float32) if rule.weights else None

    def fill(self, position: int, mask: Pixels) -> None:
        """Set the labels and weights of a sample from the mask of its input. Shape: (H, W, 1), that of the input.

        Weights are computed for the whole mask before the centre is taken: a region beyond the output may be near
        pixels inside it.
        """
        labels = center(mask, *self._rule.size)[..., 0]
        self.labels[position] = labels
        self.labels[position][labels == UNKNOWN] = UNLABELLED
        if self.weights is not None and self._rule.weights is not None:
            weights = weigh(mask[..., 0], self._rule.weights, self._rule.balance)
            self.weights[position] = center(weights[..., None], *self._rule.size)[..., 0]

    def of(self, good: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float32] | None]:
        """Return the labels and the weights of these positions."""
        if len(good) == len(self.labels):
            return self.labels, self.weights
        return self.labels[good], None if self.weights is None else self.weights[good]


def mirrored(image: Pixels, margins: tuple[int, int]) -> Pixels:
    """Pad an image by mirroring, with the margin that a network's input has around its output.

    Source: Ronneberger et al. 2015, section 2, the overlap-tile strategy.
    """
    if not any(margins):
        return image
    sides = [(margin // 2, margin - margin // 2) for margin in margins]
    return np.pad(image, (*sides, (0, 0)), mode="reflect")
