"""The interface of every source of samples: all labels at once, each sample on request."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from netspec.errors import NetspecError

UNKNOWN: Final = 255  # in a mask: the pixel has no label, as in PASCAL VOC


class BadSampleError(NetspecError):
    """A sample that cannot be used. The message names the sample (see `Dataset.describe`) and says why."""


class Dataset(ABC):
    """Labelled samples, indexed from 0. Picklable, so that grain can send it to worker processes.

    Attributes:
        origin: where the dataset was opened from, for messages.
        classes: class names, indexed by class number.
        labels: the class number of each sample, or -1 if `maps` is set. Shape: (N,).
        images: True for images; False for arrays of features, which are fed to the network unchanged.
        maps: whether each sample has a mask with a class number per pixel (see `read_map`).
        pixels: number of pixels of each class in all masks, or None if not counted yet. Shape: (`UNKNOWN`,).
        fingerprint: a hash that changes with the samples, their order and their labels; cheap to compute.
    """

    origin: str
    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    images: bool = True
    maps: bool = False
    pixels: NDArray[np.int64] | None = None
    fingerprint: str

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.labels)

    @abstractmethod
    def read(self, index: int) -> bytes | NDArray[Any]:
        """Return a sample: an encoded image (JPEG, PNG, …), a decoded image (uint8, (H, W, C)), or features.

        Raises:
            BadSampleError: the sample is missing or cannot be read.
        """

    def read_map(self, index: int) -> NDArray[np.uint8]:
        """Return the mask of a sample: the class number of each pixel, `UNKNOWN` if unlabelled. Shape: (H, W).

        Raises:
            BadSampleError: the mask is missing or cannot be read.
            NotImplementedError: the dataset has one label per sample.
        """
        raise NotImplementedError(f"{self.origin} has one label per sample")

    @abstractmethod
    def describe(self, index: int) -> str:
        """Return where a sample is stored, for messages: `data/cat/17.jpg`, or `train.parquet, row 17`."""

    def damage(self) -> list[str]:
        """Return a message for each file that is not as it was written, where that is recorded. Reads all files.

        Files that were reported when the dataset was opened are left out.
        """
        return []


def spread_indices(dataset: Dataset, most: int) -> NDArray[np.int64]:
    """Return the indices of at most `most` samples, spread evenly over the dataset. Shape: (n,)."""
    total = min(len(dataset), most)
    return np.arange(total) * len(dataset) // max(1, total)


class Subset(Dataset):
    """A selection of the samples of another dataset, in the given order."""

    def __init__(self, whole: Dataset, indices: NDArray[np.int64], fingerprint: str) -> None:
        self._whole, self._indices = whole, indices
        self.origin, self.classes, self.images, self.maps = whole.origin, whole.classes, whole.images, whole.maps
        self.labels = whole.labels[indices]
        self.fingerprint = f"{whole.fingerprint}-{fingerprint}"

    def read(self, index: int) -> bytes | NDArray[Any]:
        """Return the sample from the underlying dataset."""
        return self._whole.read(int(self._indices[index]))

    def read_map(self, index: int) -> NDArray[np.uint8]:
        """Return the mask from the underlying dataset."""
        return self._whole.read_map(int(self._indices[index]))

    def describe(self, index: int) -> str:
        """Return where the sample is stored in the underlying dataset."""
        return self._whole.describe(int(self._indices[index]))

    def damage(self) -> list[str]:
        """Return the damage of the underlying dataset, whose files hold these samples among others."""
        return self._whole.damage()


@dataclass(frozen=True)
class Splits:
    """The training part and the validation part of a dataset.

    Attributes:
        training, validation: disjoint datasets with the same classes.
        notes: remarks for the log on how the dataset was divided.
    """

    training: Dataset
    validation: Dataset | None
    notes: tuple[str, ...] = ()

    @property
    def without_samples(self) -> tuple[str, ...]:
        """A sentence for each part that holds no samples. It says which, if one file holds both."""
        if self.validation is None or self.validation.origin != self.training.origin:
            parts = ("holds", self.training), ("holds", self.validation)
        else:
            parts = ("its training part holds", self.training), ("its validation part holds", self.validation)
        return tuple(
            f"{part.origin}: {holds} no samples" for holds, part in parts if part is not None and not len(part)
        )
