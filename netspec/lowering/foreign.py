"""Weights files written by other programs, as arrays by name, and the checks that the readers of all backends share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from netspec.errors import WeightsError
from netspec.ops.base import Array
from netspec.words import abbreviate

EXPANSION: Final = 16  # the largest ratio of arrays to file size: weights hardly compress
SMALL: Final = 2**26  # bytes that are allowed at any ratio
PREFIXES: Final = {"module.": "DataParallel", "_orig_mod.": "torch.compile"}
SHOWN: Final = 10  # the most names in a note or an error
LONGEST: Final = 300  # the most characters of a name that are printed
COUNTER: Final = "n_averaged"  # the number of averaged models, in torch.optim.swa_utils.AveragedModel
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class ForeignWeights:
    """The contents of a weights file.

    Attributes:
        arrays: the arrays by their names in the file; floating-point ones in a dtype of NumPy, float16 and up.
        notes: for the user, a sentence each: changes to the names, and other contents of the file.
    """

    arrays: dict[str, Array]
    notes: tuple[str, ...] = ()


def part_of(arrays: Mapping[str, _T], part: str) -> dict[str, _T]:
    """The arrays under a prefix, with the prefix removed: `fc.bias` for `model.fc.bias` under `model`; "" gives all."""
    start = f"{part}." if part else ""
    return {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}


def under_part(path: Path, weights: ForeignWeights, part: str) -> ForeignWeights:
    """The weights of a file under a prefix, with a note that lists the other arrays.

    Raises:
        WeightsError: no name has the prefix.
    """
    if not part:
        return weights
    arrays = part_of(weights.arrays, part)
    if not arrays:
        firsts = dict.fromkeys(name.partition(".")[0] for name in weights.arrays)
        raise WeightsError(f"{path}: no name in it begins with {part + '.'!r}", f"they begin with {shown(firsts)}")
    skipped = [name for name in weights.arrays if not name.startswith(f"{part}.")]
    return ForeignWeights(arrays, (*weights.notes, *notes_of_part(part, skipped)))


def notes_of_part(part: str, skipped: Iterable[str]) -> Iterator[str]:
    """Notes that only a part of a file was read, and on what was skipped."""
    yield f"only the weights under {printable(part)} are read"
    if listed := shown(skipped):
        yield f"not read: {listed}"


def shown(names: Iterable[str]) -> str:
    """A printable list of the first of a file's names, and how many more there are."""
    return abbreviate(map(printable, names), SHOWN)


def printable(text: str) -> str:
    """A text from a file, safe to print: shortened, and escaped if it has control characters."""
    short = text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
    return short if short.isprintable() else repr(short)[1:-1]


def require_printable(path: Path, names: Iterable[str]) -> None:
    """Check that names can be those of layers, and are safe to print.

    Raises:
        WeightsError: a name has control characters, or is absurdly long.
    """
    for name in names:
        if printable(name) != name:
            raise WeightsError(
                f"{path}: a name in it is {printable(name)!r}, which cannot be the name of a layer",
                "the file is damaged, or made to mislead",
            )


def require_plausible(path: Path, size: int) -> None:
    """Check that a file can hold arrays of this many bytes: a compressed file may expand to terabytes of zeros.

    Raises:
        WeightsError: the arrays are many times as large as the file.
    """
    stored = path.stat().st_size
    if size > SMALL and size > EXPANSION * stored:
        raise WeightsError(
            f"{path}: it claims to hold {size:,} bytes of numbers in {stored:,} bytes of file",
            "weights do not compress that well: the file is damaged, or made to exhaust the memory",
        )


def without_wrappers(arrays: Mapping[str, _T]) -> tuple[dict[str, _T], list[str]]:
    """Remove the prefixes that PyTorch's wrappers put before every name; return the arrays, and notes for the user."""
    unwrapped, notes = dict(arrays), list[str]()
    if COUNTER in unwrapped and all(name.startswith("module.") for name in unwrapped.keys() - {COUNTER}):
        del unwrapped[COUNTER]
        notes.append(f"{COUNTER}, the number of averaged models, is left out")
    wrappers = dict(PREFIXES)
    while prefix := next((p for p in wrappers if unwrapped and all(name.startswith(p) for name in unwrapped)), ""):
        unwrapped = {name.removeprefix(prefix): array for name, array in unwrapped.items()}
        notes.append(f"{prefix!r}, which {wrappers.pop(prefix)} puts before every name, is taken off")
    return unwrapped, notes
