"""Weights files that other programs wrote, read as arrays by name: what the readers of all backends share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from netspec.errors import WeightsError
from netspec.ops.base import Array

EXPANSION: Final = 16  # times the file that its arrays may take: weights are numbers, and hardly compress
SMALL: Final = 2**26  # bytes that are never too many
PREFIXES: Final = {"module.": "DataParallel", "_orig_mod.": "torch.compile"}
COUNTER: Final = "n_averaged"  # of AveragedModel of torch.optim.swa_utils: of how many weights its own are the mean
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class ForeignWeights:
    """What a weights file holds.

    Attributes:
        arrays: by the names that the file gives them; numbers of floating point are NumPy's, float16 and up.
        notes: what was done to the names, and what the file holds beside the arrays, a sentence each.
    """

    arrays: dict[str, Array]
    notes: tuple[str, ...] = ()


def require_whole(path: Path, under: str) -> None:
    """That no part is asked for of a file of a kind that holds weights once.

    Raises:
        WeightsError: one is.
    """
    if under:
        raise WeightsError(
            f"{path}: it holds weights once, and nothing under {under!r}: only a checkpoint of PyTorch holds several",
            "leave --under out",
        )


def require_plausible(path: Path, size: int) -> None:
    """That arrays of so many bytes may be of this file: a few bytes can claim to be terabytes of zeros.

    Raises:
        WeightsError: they are many times the file.
    """
    stored = path.stat().st_size
    if size > SMALL and size > EXPANSION * stored:
        raise WeightsError(
            f"{path}: it claims to hold {size:,} bytes of numbers in {stored:,} bytes of file",
            "no weights are so alike that this could be: the file is damaged, or made to fill the memory",
        )


def without_wrappers(arrays: Mapping[str, _T]) -> tuple[dict[str, _T], list[str]]:
    """What a file holds by its names, without the prefixes that wrappers of PyTorch put before every one; and notes."""
    found, notes = dict(arrays), list[str]()
    if COUNTER in found and all(name.startswith("module.") for name in found.keys() - {COUNTER}):
        del found[COUNTER]
        notes.append(f"{COUNTER}, of how many weights these are the mean, is left out")
    for prefix, maker in PREFIXES.items():
        if found and all(name.startswith(prefix) for name in found):
            found = {name.removeprefix(prefix): array for name, array in found.items()}
            notes.append(f"{prefix!r}, which {maker} puts before every name, is taken off")
    return found, notes
