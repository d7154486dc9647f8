"""Weights files that other programs wrote, read as arrays by name: what the readers of all backends share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from netspec.errors import WeightsError
from netspec.ops.base import Array

EXPANSION: Final = 16  # times the file that its arrays may take: weights are numbers, and hardly compress
SMALL: Final = 2**26  # bytes that are never too many
PREFIXES: Final = {"module.": "DataParallel", "_orig_mod.": "torch.compile"}
SHOWN: Final = 10  # names in a note or an error
LONGEST: Final = 300  # characters of a name
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


def part_of(arrays: Mapping[str, _T], part: str) -> dict[str, _T]:
    """Those whose names begin with a part, without it: `model` of `model.fc.bias`. Without a part all."""
    start = f"{part}." if part else ""
    return {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}


def under_part(path: Path, found: ForeignWeights, part: str) -> ForeignWeights:
    """Of a file that holds weights by their names alone those of a part, and what is beside them as a note.

    Raises:
        WeightsError: no name begins so.
    """
    if not part:
        return found
    arrays = part_of(found.arrays, part)
    if not arrays:
        firsts = dict.fromkeys(name.partition(".")[0] for name in found.arrays)
        raise WeightsError(f"{path}: no name in it begins with {part + '.'!r}", f"they begin with {shown(firsts)}")
    beside = [name for name in found.arrays if not name.startswith(f"{part}.")]
    return ForeignWeights(arrays, (*found.notes, *notes_of_part(part, beside)))


def notes_of_part(part: str, beside: Iterable[str]) -> Iterator[str]:
    """That a part of a file was read, and what was not."""
    yield f"the weights are what the file has under {printable(part)}"
    if listed := shown(beside):
        yield f"not read, as it is beside them: {listed}"


def shown(names: Iterable[str]) -> str:
    """The first of some names that a file has, as they can be printed."""
    every = list(names)
    return ", ".join(map(printable, every[:SHOWN])) + (f" and {len(every) - SHOWN} more" if every[SHOWN:] else "")


def printable(text: str) -> str:
    """What a file calls something, as it can be printed: what moves a terminal's cursor is escaped, and much is cut."""
    short = text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
    return short if short.isprintable() else repr(short)[1:-1]


def require_printable(path: Path, names: Iterable[str]) -> None:
    """That names are such as layers have, and can stand in a report.

    Raises:
        WeightsError: one holds what no name has, or is absurdly long.
    """
    for name in names:
        if printable(name) != name:
            raise WeightsError(
                f"{path}: a name in it is {printable(name)!r}, which cannot be the name of a layer",
                "the file is damaged, or made to mislead",
            )


def require_plausible(path: Path, size: int) -> None:
    """Check that this file can hold arrays of this many bytes: a few bytes can claim to be terabytes of zeros.

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
