"""Samples held back for validation, and two parts brought to one numbering of the classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from netspec.errors import NetspecError
from netspec.training.data.dataset import Dataset, Splits, Subset
from netspec.training.data.findings import LISTED
from netspec.training.data.fingerprint import fingerprint
from netspec.weights import stream


def hold_back(splits: Splits, share: float, seed: int) -> Splits:
    """The samples divided at random: the validation part gets this share of them, one at least."""
    whole = splits.training
    if not share or len(whole) < 2:
        return splits
    count = min(max(1, round(len(whole) * share)), len(whole) - 1)
    order = stream(seed, "holdout").permutation(len(whole))
    note = f"{whole.origin}: {count:,} of {len(whole):,} samples, drawn with seed {seed}, are held back for validation"
    return Splits(_chosen(whole, order[count:]), _chosen(whole, order[:count]), (*splits.notes, note))


def _chosen(whole: Dataset, indices: NDArray[np.int64]) -> Subset:
    ordered = np.sort(indices)
    return Subset(whole, ordered, fingerprint(ordered.astype("<i8")))


class _Renumbered(Subset):
    """A dataset whose classes have the numbers that another set gives them."""

    def __init__(self, whole: Dataset, classes: tuple[str, ...], numbers: NDArray[np.int64]) -> None:
        labels = numbers[whole.labels]
        super().__init__(whole, np.arange(len(whole)), fingerprint(labels.astype("<i8")))
        self.classes, self.labels = classes, labels


def align(splits: Splits) -> Splits:
    """The splits, with the training part's class numbers in both.

    Raises:
        NetspecError: images in one and features in the other, or masks and labels, or classes that the training part
            has not.
    """
    training, validation = splits.training, splits.validation
    if validation is None:
        return splits
    if training.images != validation.images:
        kinds = [f"{part.origin} has {'images' if part.images else 'features'}" for part in (training, validation)]
        raise NetspecError(", and ".join(kinds), "both parts must be of one kind")
    if training.maps != validation.maps:
        kinds = [f"{part.origin} has {'masks' if part.maps else 'a label a sample'}" for part in (training, validation)]
        raise NetspecError(", and ".join(kinds), "both parts must be of one kind")
    if training.classes == validation.classes or (training.maps and not (training.classes and validation.classes)):
        return splits
    if training.maps:
        raise NetspecError(
            f"{validation.origin}: its classes are {some(validation.classes)}, and those of {training.origin} "
            f"{some(training.classes)}",
            "the number in a mask is that of a class: both parts must name them alike",
        )
    used = np.unique(validation.labels)
    numbers = _by_name(training.classes, validation.classes, used)
    notes = splits.notes
    if (numbers[used] < 0).any() and _is_numbered(training) != _is_numbered(validation):
        numbers = np.arange(len(validation.classes))  # the number is all that one of them knows of a class
        numbers[len(training.classes) :] = -1
        notes = (*notes, f"{validation.origin}: its labels are taken for the class numbers of {training.origin}")
    foreign = [validation.classes[number] for number in used if numbers[number] < 0]
    if foreign:
        raise NetspecError(
            f"{validation.origin}: has classes that {training.origin} does not have: {some(foreign)}",
            "both parts must be of the same classes",
        )
    return replace(splits, validation=_Renumbered(validation, training.classes, numbers), notes=notes)


def _by_name(names: Sequence[str], others: Sequence[str], used: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each of the other classes that is used, the number of the name; -1 where there is none.

    A name may stand twice (ImageNet has two kinds of crane): then its own place comes first.
    """
    numbers = {name: number for number, name in reversed(list(enumerate(names)))}
    found = np.full(len(others), -1, np.int64)
    for number in used:
        same = number < len(names) and names[number] == others[number]
        found[number] = number if same else numbers.get(others[number], -1)
    return found


def _is_numbered(dataset: Dataset) -> bool:
    return all(name == str(number) for number, name in enumerate(dataset.classes))


def absent_classes(training: Dataset) -> list[str]:
    """A note of the classes that have no sample to train on."""
    if training.maps:  # what is in the masks is not known yet
        return []
    absent = np.flatnonzero(np.bincount(training.labels, minlength=len(training.classes)) == 0)
    if not len(absent):
        return []
    return [f"{training.origin}: no sample to train on of {some([training.classes[number] for number in absent])}"]


def some(names: Sequence[str]) -> str:
    """The first of the names, and how many more there are."""
    more = f" and {len(names) - LISTED:,} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more
