"""Problems and notes collected while a dataset is opened, so that all problems are reported together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from netspec.errors import NetspecError
from netspec.training.data.dataset import Dataset, Subset
from netspec.training.data.fingerprint import fingerprint
from netspec.words import counted, indented

OnBadSample = Literal["fatal", "skip"]
NO_LABEL = int(np.iinfo(np.int64).min)  # marks a sample without a label; not a number that a file would contain
MOST_CLASSES = 100_000  # if the number of classes is unknown, a larger class number is taken for damage


class BadDataError(NetspecError):
    """Samples cannot be used, and bad samples are fatal. The message lists them."""


class Findings:
    """Problems and notes about a dataset. The function that reports a problem also leaves out the sample or file.

    Args:
        labelled: whether the samples need labels. If not, a folder of images needs no class folders.

    Attributes:
        problems: messages, each of which names its sample, file or folder.
        notes: remarks for the log.
        labelled: as given.
    """

    def __init__(self, *, labelled: bool = True) -> None:
        self.problems: list[str] = []
        self.notes: list[str] = []
        self.labelled = labelled

    def settle(self, origin: str, on_bad_sample: OnBadSample, left: int) -> None:
        """Raise if there are problems and they are fatal; otherwise add a note of what was left out.

        Args:
            origin: the dataset.
            on_bad_sample: whether problems are fatal.
            left: the number of samples that can be used. If it is 0, problems are fatal in any case.

        Raises:
            BadDataError: there are problems, and they are fatal.
        """
        if not self.problems:
            return
        problems = f"{counted(len(self.problems), 'problem')}:\n{indented(self.problems)}"
        if not left:
            raise BadDataError(f"{origin}: holds no samples that can be used, {problems}")
        if on_bad_sample == "fatal":
            hint = "repair them, or go on without them: --on-bad-sample skip"
            raise BadDataError(f"{origin}: {problems}", hint)
        self.notes.append(f"{origin}: left out, {problems}")


def usable_labels(
    labels: NDArray[Any], classes: int | None, describe: Callable[[int], str], findings: Findings
) -> NDArray[np.intp]:
    """Return the indices of the samples whose label is a class number; report the others as problems.

    Args:
        labels: integers; `NO_LABEL` for a missing label. Shape: (N,).
        classes: number of classes; None if it is only known from the labels.
        describe: returns where a sample is stored.
        findings: collects the problems.
    """
    limit = MOST_CLASSES if classes is None else classes
    invalid = (labels < 0) | (labels >= limit)
    for index in np.flatnonzero(invalid):
        label = "none (null)" if labels[index] == NO_LABEL else labels[index]
        findings.problems.append(f"{describe(int(index))}: expected a label from 0 to {limit - 1}, received {label}")
    return np.flatnonzero(~invalid)


def numbered_classes(labels: NDArray[np.int64]) -> tuple[str, ...]:
    """Return the default names of classes: their numbers, up to the largest label."""
    return tuple(str(number) for number in range(int(labels.max(initial=-1)) + 1))


def keep_samples(dataset: Dataset, indices: NDArray[np.intp]) -> Dataset:
    """Return the dataset restricted to these samples: the dataset itself if they are all of them."""
    if len(indices) == len(dataset):
        return dataset
    return Subset(dataset, indices, fingerprint(indices.astype("<i8")))


@contextmanager
def needed_for(purpose: str) -> Iterator[None]:
    """Wrap an import of an optional package; `purpose` is what it is needed for.

    Raises:
        NetspecError: the package is not installed. The hint says how to install it.
    """
    try:
        yield
    except ImportError as error:
        package = (error.name or "a package").partition(".")[0]
        raise NetspecError(f"{purpose} needs {package}, not installed here", "pip install 'netspec[train]'") from error
