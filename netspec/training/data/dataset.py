"""What every source of samples gives: labels at once, and a sample when it is asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from netspec.errors import NetspecError

UNKNOWN: Final = 255  # in a mask: nothing is known of this pixel, as PASCAL VOC has it


class BadSampleError(NetspecError):
    """A sample that cannot be used: its message names it (`describe`) and says why."""


class Dataset(ABC):
    """Labelled samples, indexed from 0. Can be pickled to worker processes that grain starts.

    Attributes:
        origin: where it was opened from, for messages.
        classes: names by class number.
        labels: the class number of each sample; -1 where `read_map` tells that of each pixel. Shape: (N,).
        images: True for images; False for arrays of features that are fed as they are.
        maps: whether the label of a sample is a map, read one by one.
        pixels: how many of each class its maps hold, where they are counted already. Shape: (`UNKNOWN`,).
        fingerprint: a hash that changes when the samples, their order or labels do; cheap to take.
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
        """A sample: an encoded image (JPEG, PNG, …), a decoded one (uint8, (H, W, C)), or features.

        Raises:
            BadSampleError: it is not there or cannot be read.
        """

    def read_map(self, index: int) -> NDArray[np.uint8]:
        """The class number of each pixel of a sample, `UNKNOWN` where there is none. Shape: (H, W).

        Raises:
            BadSampleError: it is not there or cannot be read.
            NotImplementedError: the set has one label a sample.
        """
        raise NotImplementedError(f"{self.origin} has one label a sample")

    @abstractmethod
    def describe(self, index: int) -> str:
        """Where a sample is, for messages: `data/cat/17.jpg`, or `train.parquet, row 17`."""


def evenly(dataset: Dataset, most: int) -> NDArray[np.int64]:
    """Indices of all samples, or of at most so many, spread evenly over a set. Shape: (n,)."""
    total = min(len(dataset), most)
    return np.arange(total) * len(dataset) // max(1, total)


class Subset(Dataset):
    """Some samples of a dataset, in the given order."""

    def __init__(self, whole: Dataset, indices: NDArray[np.int64], fingerprint: str) -> None:
        self._whole, self._indices = whole, indices
        self.origin, self.classes, self.images, self.maps = whole.origin, whole.classes, whole.images, whole.maps
        self.labels = whole.labels[indices]
        self.fingerprint = f"{whole.fingerprint}-{fingerprint}"

    def read(self, index: int) -> bytes | NDArray[Any]:
        """The sample of the whole."""
        return self._whole.read(int(self._indices[index]))

    def read_map(self, index: int) -> NDArray[np.uint8]:
        """The map of the whole."""
        return self._whole.read_map(int(self._indices[index]))

    def describe(self, index: int) -> str:
        """Where it is in the whole."""
        return self._whole.describe(int(self._indices[index]))


@dataclass(frozen=True)
class Splits:
    """What is trained on, and what is held back to see how well.

    Attributes:
        training, validation: disjoint; the same classes.
        notes: what a reader of the log has to know about how they were divided.
    """

    training: Dataset
    validation: Dataset | None
    notes: tuple[str, ...] = ()
