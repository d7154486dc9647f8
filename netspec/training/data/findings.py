"""What is found out about a set while it is opened: all of its problems, reported together, and notes for the log."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from netspec.errors import NetspecError
from netspec.training.data.dataset import Dataset, Subset
from netspec.training.data.fingerprint import fingerprint
from netspec.words import counted

OnBadSample = Literal["fatal", "skip"]
LISTED = 20
NO_LABEL = int(np.iinfo(np.int64).min)  # of a sample that has none: no number that a file would give
MOST_CLASSES = 100_000  # a larger class number, where nothing says how many classes there are, is a damaged one


class BadDataError(NetspecError):
    """Samples that cannot be used, and are not to be left out: the message lists them."""


class Findings:
    """Problems and notes, collected by what opens a set. What has a problem is left out by it.

    Attributes:
        problems: each names its sample, file or folder.
        notes: what a reader of the log has to know.
    """

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.notes: list[str] = []

    def settle(self, origin: str, on_bad_sample: OnBadSample) -> None:
        """End with the problems: a note says what was left out, or they are fatal.

        Raises:
            BadDataError: there are problems, and they are fatal.
        """
        if not self.problems:
            return
        if on_bad_sample == "fatal":
            hint = "repair them, or go on without them: --on-bad-sample skip"
            raise BadDataError(f"{origin}: {counted(len(self.problems), 'problem')}:\n{listed(self.problems)}", hint)
        self.notes.append(f"{origin}: left out, {counted(len(self.problems), 'problem')}:\n{listed(self.problems)}")


def listed(problems: Sequence[str]) -> str:
    """The first of the problems, a line each, and how many more there are."""
    more = [f"… and {len(problems) - LISTED:,} more"] if len(problems) > LISTED else []
    return "\n".join(f"  {line}" for line in [*problems[:LISTED], *more])


def usable_labels(
    labels: NDArray[Any], classes: int | None, describe: Callable[[int], str], findings: Findings
) -> NDArray[np.intp]:
    """The samples whose label is a class number; the others are problems.

    Args:
        labels: integers, `NO_LABEL` where there is none. Shape: (N,).
        classes: how many there are, None where only the labels say.
        describe: where a sample is.
        findings: takes the problems.
    """
    limit = MOST_CLASSES if classes is None else classes
    wrong = (labels < 0) | (labels >= limit)
    for index in np.flatnonzero(wrong):
        found = "none (null)" if labels[index] == NO_LABEL else labels[index]
        received = f"expected a label from 0 to {limit - 1}, received {found}"
        findings.problems.append(f"{describe(int(index))}: {received}")
    return np.flatnonzero(~wrong)


def numbered_classes(labels: NDArray[np.int64]) -> tuple[str, ...]:
    """Names for classes that have none: their numbers, up to the largest label."""
    return tuple(str(number) for number in range(int(labels.max(initial=-1)) + 1))


def kept(dataset: Dataset, indices: NDArray[np.intp]) -> Dataset:
    """The dataset without the samples that had problems."""
    if len(indices) == len(dataset):
        return dataset
    return Subset(dataset, indices, fingerprint(indices.astype("<i8")))


@contextmanager
def needed_for(purpose: str) -> Iterator[None]:
    """Around an import: a package that is not installed is the user's to install.

    Raises:
        NetspecError: it is not.
    """
    try:
        yield
    except ImportError as error:
        package = (error.name or "a package").partition(".")[0]
        raise NetspecError(f"{purpose} needs {package}, not installed here", "pip install 'netspec[train]'") from error
