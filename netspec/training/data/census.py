"""How many pixels of each class the masks of a set hold."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from netspec.errors import NetspecError
from netspec.training.data.dataset import UNKNOWN, BadSampleError, Dataset, evenly
from netspec.training.data.division import some
from netspec.training.data.parallel import available_threads, in_threads

MOST_MASKS = 10_000
CHUNK = 16  # masks that a thread counts before it hands over


def census(dataset: Dataset, classes: int, progress: Callable[[str], None] = lambda _: None) -> NDArray[np.int64]:
    """Pixels of each class in a set's masks. Shape: (classes,).

    Those of a prepared set were counted when it was. Of another that is larger, 10,000 masks spread evenly over it are
    counted. A mask that cannot be used is passed over: it is reported when it comes up in a batch.

    Raises:
        NetspecError: fewer than two classes are in them, so that there is nothing to learn.
    """
    indices = evenly(dataset, MOST_MASKS if dataset.pixels is None else len(dataset))
    pixels = _count(dataset, indices, progress) if dataset.pixels is None else dataset.pixels
    counts = np.zeros(classes, np.int64)
    counts[: len(pixels)] = pixels[:classes]
    present = np.flatnonzero(counts)
    if len(present) < 2:
        what = f"every labelled pixel is of class {present[0]}" if len(present) else "no pixel is labelled"
        raise NetspecError(
            f"{dataset.origin}: in {len(indices):,} masks {what}, so there is nothing to learn",
            f"a mask holds class numbers from 0 on, {UNKNOWN} where nothing is known: one of 0 and {UNKNOWN} is to be "
            "of 0 and 1",
        )
    return counts


def _count(dataset: Dataset, indices: NDArray[np.int64], progress: Callable[[str], None]) -> NDArray[np.int64]:
    """The pixels of each class in these masks of a set. Shape: (UNKNOWN,)."""

    def count(chunk: NDArray[np.int64]) -> NDArray[np.int64]:
        return sum((_pixels(dataset, int(index)) for index in chunk), np.zeros(UNKNOWN, np.int64))

    chunks = [indices[start : start + CHUNK] for start in range(0, len(indices), CHUNK)]
    pixels, done = np.zeros(UNKNOWN, np.int64), 0
    for chunk, found in zip(chunks, in_threads(count, chunks, available_threads()), strict=True):
        pixels, done = pixels + found, done + len(chunk)
        progress(f"masks of {dataset.origin}: {done:,} of {len(indices):,}")
    return pixels


def _pixels(dataset: Dataset, index: int) -> NDArray[np.int64]:
    try:
        found = np.bincount(dataset.read_map(index).ravel(), minlength=UNKNOWN + 1)
    except BadSampleError:
        return np.zeros(UNKNOWN, np.int64)
    return found[:UNKNOWN].astype(np.int64)


def absent_pixels(dataset: Dataset, counts: NDArray[np.int64]) -> list[str]:
    """A note of the classes that have no pixel to train on."""
    names = [*dataset.classes, *map(str, range(len(dataset.classes), len(counts)))]
    absent = [names[number] for number in np.flatnonzero(counts == 0)]
    return [f"{dataset.origin}: no pixel to train on of {some(absent)}"] if absent else []
