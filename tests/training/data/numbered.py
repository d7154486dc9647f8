"""Datasets whose samples contain their numbers, for tests of batches. Worker processes import them from here."""

from __future__ import annotations

import os
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from netspec.lowering import Batch
from netspec.recipe import Augmentation, ColorNoise, Recipe, Sgd
from netspec.training.data.batches import Batches, StepBatch
from netspec.training.data.dataset import BadSampleError, Dataset
from netspec.training.data.statistics import Components

SHAPE = (3, 4, 5)
COMPONENTS = Components(np.full(3, 100.0), np.array([900.0, 100.0, 10.0]), np.eye(3))
AUGMENTED = Augmentation(random_crop={"height": 4, "width": 5}, horizontal_flip=True, color_noise=ColorNoise(std=0.1))


class Numbered(Dataset):
    """Images whose first channel is the number of the sample, and the others the row and the column."""

    def __init__(self, length: int, bad: tuple[int, ...] = (), deadly: int = -1) -> None:
        self.origin, self.classes, self.fingerprint = "numbered", tuple("abcdefg"), f"{length}"
        self.labels = np.arange(length) % 7
        self._bad, self._deadly = bad, deadly

    def read(self, index: int) -> NDArray[Any]:
        if index == self._deadly:
            os._exit(7)
        if index in self._bad:
            raise BadSampleError(f"{self.describe(index)}: spoilt")
        image = np.empty((7, 9, 3), np.uint8)
        image[..., 0], image[..., 1], image[..., 2] = index, np.arange(7)[:, None], np.arange(9)
        return image

    def describe(self, index: int) -> str:
        return f"numbered, row {index}"


class Encoded(Numbered):
    """The same images, encoded: as JPEG, which changes their colors a little, or as PNG."""

    def __init__(self, length: int, kind: str) -> None:
        super().__init__(length)
        self._kind = kind

    def read(self, index: int) -> Any:
        buffer = BytesIO()
        Image.fromarray(super().read(index)).save(buffer, self._kind)
        return buffer.getvalue()


class Decoded(Dataset):
    """The images of another dataset, decoded by Pillow."""

    def __init__(self, encoded: Dataset) -> None:
        self.origin, self.classes, self.fingerprint = "decoded", encoded.classes, "decoded"
        self.labels, self._encoded = encoded.labels, encoded

    def read(self, index: int) -> NDArray[Any]:
        return np.asarray(Image.open(BytesIO(self._encoded.read(index))))

    def describe(self, index: int) -> str:
        return self._encoded.describe(index)


class Features(Dataset):
    """Samples of two numbers."""

    images = False

    def __init__(self, length: int, short: tuple[int, ...] = ()) -> None:
        self.origin, self.classes, self.fingerprint = "features", tuple("abcdefg"), f"{length}"
        self.labels = np.arange(length) % 7
        self._short = short

    def read(self, index: int) -> NDArray[Any]:
        return np.array([index, index / 2])[: 1 if index in self._short else 2]

    def describe(self, index: int) -> str:
        return f"features, row {index}"


def recipe(batch_size: int = 4, **options: Any) -> Recipe:
    return Recipe(batch_size=batch_size, epochs=1, optimizer=Sgd(name="sgd", learning_rate=0.1), **options)


def batches(dataset: Dataset, own: Recipe, shape: tuple[int, ...] = SHAPE, **options: Any) -> Batches:
    return Batches(dataset, shape, None, own, COMPONENTS, **options)


def indices(batch: Batch) -> list[int]:
    """Return the numbers of the samples of a batch of `Numbered`."""
    return batch.inputs[:, 0, 0, 0].tolist()


def same(a: StepBatch, b: StepBatch) -> bool:
    names = ("inputs", "labels", "rows", "shifts", "partners", "shares")
    pairs = [(getattr(x, name), getattr(y, name)) for x, y in zip(a.batches, b.batches, strict=True) for name in names]
    return (a.total, a.bad) == (b.total, b.bad) and all(np.array_equal(x, y) for x, y in pairs)
