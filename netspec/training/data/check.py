"""Decode every sample of a dataset, to report the bad ones and a summary of the others (`netspec data check`)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from netspec.errors import NetspecError
from netspec.progress import Progress, silent
from netspec.training.data.dataset import UNKNOWN, BadSampleError, Dataset, Splits
from netspec.training.data.division import absent_classes, align
from netspec.training.data.findings import Findings, numbered_classes
from netspec.training.data.images import decoded
from netspec.training.data.mask_folders import read_mask
from netspec.training.data.parallel import available_threads, in_threads
from netspec.training.data.roles import Role
from netspec.training.data.sources import open_parts
from netspec.words import abbreviate

REPORTED = 500  # samples between two progress messages


@dataclass(frozen=True, slots=True)
class PartReport:
    """A summary of a part of a dataset.

    Attributes:
        role: training or validation.
        images: whether the samples are images instead of features.
        classes: class names, indexed by class number.
        counts: number of good samples of each class; with masks, of samples in which the class occurs. Shape:
            (classes,).
        bad: number of samples that could not be decoded, or whose masks could not.
        smallest, largest: (H, W) of the images with the fewest and the most pixels; None if there are no images.
        features: the shape of a sample, if the samples are features.
        samples: number of good samples.
        maps: whether the samples have masks.
    """

    role: Role
    images: bool
    classes: tuple[str, ...]
    counts: NDArray[np.int64]
    bad: int
    smallest: tuple[int, ...] | None = None
    largest: tuple[int, ...] | None = None
    features: tuple[int, ...] | None = None
    samples: int = 0
    maps: bool = False


@dataclass(frozen=True, slots=True)
class DataReport:
    """The result of `check_data`: a report for each part, all problems, and notes."""

    parts: tuple[PartReport, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def check_data(url: str, *, workers: int | None = None, progress: Progress = silent) -> DataReport:
    """Open a dataset and decode every sample.

    Args:
        url: a path, a URL that fsspec supports, or `digits`.
        workers: number of threads; None for one per core.
        progress: called with progress messages.

    Raises:
        NetspecError: nothing is there, or it cannot be read.
    """
    findings = Findings()
    splits = open_parts(url, findings)
    parts: list[tuple[Role, Dataset | None]] = [("training", splits.training), ("validation", splits.validation)]
    reports = [
        _check_part(role, part, workers or available_threads(), findings, progress)
        for role, part in parts
        if part is not None
    ]
    if not findings.problems:  # otherwise the problems explain why a part is empty
        findings.problems.extend(splits.without_samples)
    if all(part is None or len(part) for _, part in parts):
        findings.problems.extend(_misfit(splits))
    notes = (*findings.notes, *splits.notes, *absent_classes(splits.training))
    return DataReport(tuple(reports), tuple(findings.problems), notes)


def _misfit(splits: Splits) -> list[str]:
    """Why the two parts cannot be used together, if they cannot."""
    try:
        align(splits)
    except NetspecError as error:
        return [error.message]
    return []


def _check_part(role: Role, part: Dataset, threads: int, findings: Findings, progress: Progress) -> PartReport:
    progress(f"{role}: files")
    findings.problems.extend(part.damage())
    good = np.ones(len(part), np.bool_)
    shapes: set[tuple[int, ...]] = set()
    occurrences = np.zeros(UNKNOWN, np.int64)  # of each class, the number of masks that contain it
    for index, result in enumerate(in_threads(lambda index: _inspect(part, index), range(len(part)), threads)):
        if isinstance(result, BadSampleError):
            findings.problems.append(result.message)
            good[index] = False
        else:
            shape, classes_present = result
            shapes.add(shape)
            occurrences[classes_present] += 1
        if index % REPORTED == 0:
            progress(f"{role}: {index:,} of {len(part):,}")
    ordered = sorted(shapes, key=lambda shape: (shape[0] * shape[1], shape)) if part.images else []
    if part.maps:
        classes = part.classes or numbered_classes(np.flatnonzero(occurrences))
        findings.notes.extend(_mask_notes(part, classes, occurrences))
        counts = occurrences[: len(classes)]
    else:
        classes, counts = part.classes, np.bincount(part.labels[good], minlength=len(part.classes))
    return PartReport(
        role=role,
        images=part.images,
        classes=classes,
        counts=counts,
        bad=int((~good).sum()),
        smallest=ordered[0][:2] if ordered else None,
        largest=ordered[-1][:2] if ordered else None,
        features=None if part.images else next(iter(shapes), None),
        samples=int(good.sum()),
        maps=part.maps,
    )


def _mask_notes(part: Dataset, classes: tuple[str, ...], occurrences: NDArray[np.int64]) -> list[str]:
    """Return notes on classes that are missing in the masks of a part."""
    present = np.flatnonzero(occurrences)
    if len(present) == 1:
        hint = f"one of 0 and {UNKNOWN} is to be of 0 and 1, for {UNKNOWN} says that nothing is known"
        return [f"{part.origin}: every labelled pixel of its masks is of class {present[0]}: {hint}"]
    absent = [name for name, count in zip(classes, occurrences, strict=False) if not count]
    return [f"{part.origin}: no pixel of {abbreviate(absent)}"] if absent else []


def _inspect(part: Dataset, index: int) -> tuple[tuple[int, ...], NDArray[np.int64]] | BadSampleError:
    """Return the shape of a sample and the class numbers in its mask, or the error if the sample is bad."""
    try:
        shape = decoded(part, index).shape if part.images else np.shape(part.read(index))
        if not part.maps:
            return shape, np.empty(0, np.int64)
        mask = read_mask(part, index, shape[:2] if part.images else shape[1:], len(part.classes) or None)
    except BadSampleError as error:
        return error
    present = np.unique(mask).astype(np.int64)
    return shape, present[present != UNKNOWN]
