"""The sheet of a generator's samples, `samples.png`: what it makes of the same noise after each epoch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import numpy as np
from numpy.typing import NDArray

from netspec.files import write_whole
from netspec.graph import Normalization
from netspec.lowering import Trainer
from netspec.ops.base import Array
from netspec.ops.initializers import draw
from netspec.training.events import EpochDone, Observer
from netspec.training.folder import RunFolder
from netspec.training.material import Material
from netspec.training.report.png import png
from netspec.weights import stream

if TYPE_CHECKING:
    from netspec.ops.initializers import Noise

ROW: Final = 8  # samples in a row, and rows
GAP: Final = 1  # pixels between samples


@dataclass(frozen=True)
class SampleSheet(Observer):
    """Writes a square grid of samples after each epoch, drawn from noise that depends on the seed alone.

    Attributes:
        trainer: the trainer of the generator, which generates in inference mode.
        folder: the run folder.
        noise, features, seed: the distribution of the generator's input, its shape, and the seed of the run.
        normalization: that of real images, which is undone.
        order: the order of the channels.
        batch: the most samples that are generated at once.
    """

    trainer: Trainer
    folder: RunFolder
    noise: Noise
    features: tuple[int, ...]
    seed: int
    normalization: Normalization
    order: str
    batch: int

    @classmethod
    def of(cls, material: Material, trainer: Trainer, folder: RunFolder) -> Self | None:
        """The sheet of a run; None if it trains no generator of images."""
        loss, normalization = material.recipe.adversarial, material.normalization
        if loss is None or normalization is None:
            return None
        preprocessing = material.input.preprocessing
        return cls(
            trainer,
            folder,
            loss.noise,
            material.graph.inputs[0].type.features,
            material.recipe.seed,
            normalization,
            preprocessing.channel_order if preprocessing else "rgb",
            min(material.recipe.batch_size, ROW * ROW),
        )

    def epoch(self, event: EpochDone) -> None:
        """Write the samples of the network as it is now.

        Raises:
            NetspecError: the file cannot be written, or Pillow is not installed.
        """
        del event
        z = draw(self.noise, (ROW * ROW, *self.features), 0, 0, stream(self.seed, "samples"))
        parts = [self.trainer.predict(z[start : start + self.batch]) for start in range(0, len(z), self.batch)]
        content = png(grid_of(pixels_of(np.concatenate(parts), self.normalization, self.order)))
        write_whole(self.folder.samples, content)


def pixels_of(samples: Array, normalization: Normalization, order: str) -> NDArray[np.uint8]:
    """The images that a network's inputs stand for, in RGB or gray. Shapes: (N, C, H, W) → (N, H, W, C).

    Values beyond 0 to 255 become the nearest of these, and what is not a number becomes 0.
    """
    values = samples.astype(np.float64) / normalization.factor + normalization.mean
    values = np.nan_to_num(values[:, ::-1] if order == "bgr" else values, posinf=255.0, neginf=0.0)
    pixels: NDArray[np.uint8] = np.rint(values.clip(0, 255)).astype(np.uint8).transpose(0, 2, 3, 1)
    return pixels


def grid_of(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Images in rows of `ROW`, on white. Shapes: (N, H, W, C) → (rows, columns), with a third axis of 3 for colors."""
    count, height, width, channels = images.shape
    rows = math.ceil(count / ROW)
    grid = np.full((rows * (height + GAP) - GAP, ROW * (width + GAP) - GAP, channels), 255, np.uint8)
    for index, image in enumerate(images):
        top, left = index // ROW * (height + GAP), index % ROW * (width + GAP)
        grid[top : top + height, left : left + width] = image
    return grid[:, :, 0] if channels == 1 else grid
