"""Hold back samples for validation, and give two parts of a dataset the same class numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from netspec.errors import NetspecError
from netspec.training.data.dataset import Dataset, Splits, Subset
from netspec.training.data.fingerprint import fingerprint
from netspec.weights import stream
from netspec.words import abbreviate


def hold_back(splits: Splits, share: float, seed: int) -> Splits:
    """Move a random share of the training samples, at least one, to the validation part."""
    dataset = splits.training
    total = len(dataset)
    if not share or total < 2:
        return splits
    count = min(max(1, round(total * share)), total - 1)
    order = stream(seed, "holdout").permutation(total)
    note = f"{dataset.origin}: {count:,} of {total:,} samples, drawn with seed {seed}, are held back for validation"
    return Splits(_subset(dataset, order[count:]), _subset(dataset, order[:count]), (*splits.notes, note))


def _subset(dataset: Dataset, indices: NDArray[np.int64]) -> Subset:
    ordered = np.sort(indices)
    return Subset(dataset, ordered, fingerprint(ordered.astype("<i8")))


class _Renumbered(Subset):
    """A dataset whose classes are renumbered to match another dataset."""

    def __init__(self, whole: Dataset, classes: tuple[str, ...], numbers: NDArray[np.int64]) -> None:
        labels = numbers[whole.labels]
        super().__init__(whole, np.arange(len(whole)), fingerprint(labels.astype("<i8")))
        self.classes, self.labels = classes, labels


def align(splits: Splits) -> Splits:
    """Renumber the classes of the validation part to match the training part.

    Raises:
        NetspecError: one part has images and the other features, one has masks and the other labels, or the
            validation part has classes that the training part does not have.
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
            f"{validation.origin}: its classes are {abbreviate(validation.classes)}, and those of {training.origin} "
            f"{abbreviate(training.classes)}",
            "the number in a mask is that of a class: both parts must name them alike",
        )
    used = np.unique(validation.labels)
    numbers = _by_name(training.classes, validation.classes, used)
    notes = splits.notes
    if (numbers[used] < 0).any() and _is_numbered(training) != _is_numbered(validation):
        numbers = np.arange(len(validation.classes))  # one part has class numbers only: names cannot be compared
        numbers[len(training.classes) :] = -1
        notes = (*notes, f"{validation.origin}: its labels are taken for the class numbers of {training.origin}")
    foreign = [validation.classes[number] for number in used if numbers[number] < 0]
    if foreign:
        raise NetspecError(
            f"{validation.origin}: has classes that {training.origin} does not have: {abbreviate(foreign)}",
            "both parts must be of the same classes",
        )
    return replace(splits, validation=_Renumbered(validation, training.classes, numbers), notes=notes)


def _by_name(names: Sequence[str], others: Sequence[str], used: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return, for each used class of `others`, the index of its name in `names`; -1 if it is not there or unused.

    A name may occur twice (ImageNet has two classes named crane). The same number is then preferred.
    """
    numbers = {name: number for number, name in reversed(list(enumerate(names)))}
    matches = np.full(len(others), -1, np.int64)
    for number in used:
        same = number < len(names) and names[number] == others[number]
        matches[number] = number if same else numbers.get(others[number], -1)
    return matches


def _is_numbered(dataset: Dataset) -> bool:
    return all(name == str(number) for number, name in enumerate(dataset.classes))


def absent_classes(training: Dataset) -> list[str]:
    """Return a note that names the classes without a training sample, if there are any."""
    if training.maps:  # the classes in the masks are only known once they are read
        return []
    absent = np.flatnonzero(np.bincount(training.labels, minlength=len(training.classes)) == 0)
    if not len(absent):
        return []
    return [
        f"{training.origin}: no sample to train on of {abbreviate([training.classes[number] for number in absent])}"
    ]
