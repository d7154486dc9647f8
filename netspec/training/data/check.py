"""Every sample of a set decoded, to say which cannot be, and what the others are like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from netspec.training.data.dataset import UNKNOWN, BadSampleError, Dataset
from netspec.training.data.division import absent_classes, some
from netspec.training.data.findings import Findings, numbered_classes
from netspec.training.data.images import decoded
from netspec.training.data.mask_folders import read_mask
from netspec.training.data.parallel import available_threads, in_threads
from netspec.training.data.roles import Role
from netspec.training.data.shards import ShardDataset
from netspec.training.data.sources import open_parts

Progress = Callable[[str], None]
REPORTED = 500  # samples between two words of progress


@dataclass(frozen=True, slots=True)
class PartReport:
    """A part of a set.

    Attributes:
        role: what it is for.
        images: whether it holds images; features otherwise.
        classes: names by number.
        counts: good samples of each class; of masks, those in which it occurs. Shape: (classes,).
        bad: samples that could not be decoded, or their masks not.
        smallest, largest: (H, W) of the images with the fewest and the most pixels; None where there are none.
        features: the shape of a sample, where it holds no images.
        samples: good ones.
        maps: whether it holds masks.
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
    """What `check_data` found: its parts, all problems with their places, and notes."""

    parts: tuple[PartReport, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def check_data(url: str, *, workers: int | None = None, progress: Progress = lambda _: None) -> DataReport:
    """Open a set and decode all of it.

    Args:
        url: a path, a URL that fsspec knows, or `digits`.
        workers: threads; None for one a core.
        progress: called with what is being done.

    Raises:
        NetspecError: there is nothing that can be read.
    """
    findings = Findings()
    splits = open_parts(url, findings)
    parts: list[tuple[Role, Dataset | None]] = [("training", splits.training), ("validation", splits.validation)]
    reports = [
        _check_part(role, part, workers or available_threads(), findings, progress)
        for role, part in parts
        if part is not None
    ]
    if not findings.problems:  # those that it has are reported
        empty = [part.origin for _, part in parts if part is not None and not len(part)]
        findings.problems.extend(f"{origin}: holds no samples" for origin in empty)
    notes = (*findings.notes, *splits.notes, *absent_classes(splits.training))
    return DataReport(tuple(reports), tuple(findings.problems), notes)


def _check_part(role: Role, part: Dataset, threads: int, findings: Findings, progress: Progress) -> PartReport:
    if isinstance(part, ShardDataset):
        progress(f"{role}: digests")
        findings.problems.extend(part.damage())
    good = np.ones(len(part), np.bool_)
    shapes: set[tuple[int, ...]] = set()
    occurring = np.zeros(UNKNOWN, np.int64)  # samples in whose masks a class is
    for index, found in enumerate(in_threads(lambda index: _looked_at(part, index), range(len(part)), threads)):
        if isinstance(found, BadSampleError):
            findings.problems.append(found.message)
            good[index] = False
        else:
            shapes.add(found[0])
            occurring[found[1]] += 1
        if index % REPORTED == 0:
            progress(f"{role}: {index:,} of {len(part):,}")
    ordered = sorted(shapes, key=lambda shape: (shape[0] * shape[1], shape)) if part.images else []
    if part.maps:
        classes = part.classes or numbered_classes(np.flatnonzero(occurring))
        findings.notes.extend(_notes(part, classes, occurring))
        counts = occurring[: len(classes)]
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


def _notes(part: Dataset, classes: tuple[str, ...], occurring: NDArray[np.int64]) -> list[str]:
    """What the masks of a part lack."""
    present = np.flatnonzero(occurring)
    if len(present) == 1:
        hint = f"one of 0 and {UNKNOWN} is to be of 0 and 1, for {UNKNOWN} says that nothing is known"
        return [f"{part.origin}: every labelled pixel of its masks is of class {present[0]}: {hint}"]
    absent = [name for name, count in zip(classes, occurring, strict=False) if not count]
    return [f"{part.origin}: no pixel of {some(absent)}"] if absent else []


def _looked_at(part: Dataset, index: int) -> tuple[tuple[int, ...], NDArray[np.int64]] | BadSampleError:
    """The shape of a sample, and the classes that are in its mask."""
    try:
        shape = decoded(part, index).shape if part.images else np.shape(part.read(index))
        if not part.maps:
            return shape, np.empty(0, np.int64)
        mask = read_mask(part, index, shape[:2] if part.images else shape[1:], len(part.classes) or None)
    except BadSampleError as error:
        return error
    present = np.unique(mask).astype(np.int64)
    return shape, present[present != UNKNOWN]
