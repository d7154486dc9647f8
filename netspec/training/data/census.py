"""Count the pixels of each class in the masks of a dataset."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from netspec.errors import NetspecError
from netspec.progress import Progress, silent
from netspec.training.data.dataset import UNKNOWN, BadSampleError, Dataset, spread_indices
from netspec.training.data.findings import Findings
from netspec.training.data.parallel import available_threads, in_threads
from netspec.words import abbreviate

MOST_MASKS = 10_000
CHUNK = 16  # masks counted by one task of a thread


def census(dataset: Dataset, classes: int, progress: Progress = silent) -> NDArray[np.int64]:
    """Count the pixels of each class in the masks of a dataset. Shape: (classes,).

    The counts of a prepared dataset are stored with it. Otherwise at most 10,000 masks, spread evenly over the dataset,
    are counted. Masks that cannot be used are ignored here and reported when they occur in a batch.

    Raises:
        BadDataError: no mask can be used.
        NetspecError: the masks have fewer than two classes, so that there is nothing to learn.
    """
    indices = spread_indices(dataset, MOST_MASKS if dataset.pixels is None else len(dataset))
    pixels = _count(dataset, indices, progress) if dataset.pixels is None else dataset.pixels
    counts = np.zeros(classes, np.int64)
    counts[: len(pixels)] = pixels[:classes]
    present = np.flatnonzero(counts)
    if len(present) < 2:
        _require_masks(dataset, indices)
        finding = f"every labelled pixel is of class {present[0]}" if len(present) else "no pixel is labelled"
        raise NetspecError(
            f"{dataset.origin}: in {len(indices):,} masks {finding}, so there is nothing to learn",
            f"a mask holds class numbers from 0 on, {UNKNOWN} where nothing is known: one of 0 and {UNKNOWN} is to be "
            "of 0 and 1",
        )
    return counts


def _count(dataset: Dataset, indices: NDArray[np.int64], progress: Progress) -> NDArray[np.int64]:
    """Count the pixels of each class in the masks of these samples. Shape: (UNKNOWN,)."""

    def count(chunk: NDArray[np.int64]) -> NDArray[np.int64]:
        return sum((_pixels(dataset, int(index)) for index in chunk), np.zeros(UNKNOWN, np.int64))

    chunks = [indices[start : start + CHUNK] for start in range(0, len(indices), CHUNK)]
    pixels, done = np.zeros(UNKNOWN, np.int64), 0
    for chunk, counts in zip(chunks, in_threads(count, chunks, available_threads()), strict=True):
        pixels, done = pixels + counts, done + len(chunk)
        progress(f"masks of {dataset.origin}: {done:,} of {len(indices):,}")
    return pixels


def _pixels(dataset: Dataset, index: int) -> NDArray[np.int64]:
    try:
        counts = np.bincount(dataset.read_map(index).ravel(), minlength=UNKNOWN + 1)
    except BadSampleError:
        return np.zeros(UNKNOWN, np.int64)
    return counts[:UNKNOWN].astype(np.int64)


def _require_masks(dataset: Dataset, indices: NDArray[np.int64]) -> None:
    """Raise a BadDataError that says why, if none of these masks can be used."""
    if len(dataset) and dataset.pixels is None:
        findings = Findings()
        for index in indices:
            try:
                dataset.read_map(int(index))
            except BadSampleError as error:
                findings.problems.append(error.message)
            else:
                return
        findings.settle(dataset.origin, "fatal", 0)


def absent_pixels(dataset: Dataset, counts: NDArray[np.int64]) -> list[str]:
    """Return a note that names the classes without a pixel to train on, if there are any."""
    names = [*dataset.classes, *map(str, range(len(dataset.classes), len(counts)))]
    absent = [names[number] for number in np.flatnonzero(counts == 0)]
    return [f"{dataset.origin}: no pixel to train on of {abbreviate(absent)}"] if absent else []
