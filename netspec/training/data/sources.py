"""Open a dataset from a path or URL: detect its format, and divide it into a training and a validation part."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Final

from netspec.errors import NetspecError
from netspec.training.data.arrays import open_npz
from netspec.training.data.dataset import Dataset, Splits
from netspec.training.data.division import absent_classes, align, hold_back
from netspec.training.data.findings import Findings, OnBadSample, needed_for
from netspec.training.data.folders import is_data, open_class_folders
from netspec.training.data.manifest import MANIFEST
from netspec.training.data.mask_folders import holds_masks, open_mask_folder
from netspec.training.data.places import Entry, Place, missing_place, open_place
from netspec.training.data.roles import WORDS, assign_roles
from netspec.training.data.shards import open_prepared
from netspec.words import abbreviate

DIGITS: Final = "digits"
HOLDOUT: Final = 0.1
_FIRST_WORD: Final = re.compile(r"[a-z]+(?![a-z])")
EXPECTED: Final = (
    "expected `digits`, a .parquet or .npz file, a folder of these, of class folders, of images and masks or of a "
    "training and a validation part, or what `netspec data prepare` wrote"
)


def open_data(
    url: str,
    *,
    validation: str | None = None,
    holdout: float | None = None,
    seed: int = 0,
    on_bad_sample: OnBadSample = "fatal",
    labelled: bool = True,
) -> Splits:
    """Open the training and the validation part of a dataset.

    Labels, sizes and files are checked here; whether an image can be decoded is only known when it is read.

    Args:
        url: a path, a URL that fsspec supports, or `digits`.
        validation: the path or URL of another dataset of the same classes, to validate with.
        holdout: the share of samples that is held back at random if there is no validation part; None for 0.1, 0 for
            no validation.
        seed: determines which samples are held back.
        on_bad_sample: whether samples and files that cannot be used are fatal, or left out with a note.
        labelled: whether the samples need labels. If not, there is no validation part, and a folder of images will do.

    Raises:
        BadDataError: samples or files cannot be used; the message lists them.
        NetspecError: nothing is there, it cannot be read, or the parts do not belong together.
    """
    _check_division(validation, holdout)
    findings = Findings(labelled=labelled)
    splits = open_parts(url, findings)
    findings.settle(url, on_bad_sample, len(splits.training))
    if not labelled:
        unused = (f"{url}: its validation part is not used",) if splits.validation is not None else ()
        splits = Splits(splits.training, None, (*splits.notes, *unused))
    elif validation is not None:
        splits = _with_validation(splits, url, validation, on_bad_sample, findings)
    elif splits.validation is None:
        splits = hold_back(splits, HOLDOUT if holdout is None else holdout, seed)
    elif holdout is not None:
        raise NetspecError(
            f"{url}: has a validation part already, so nothing is to be held back", "leave out --holdout"
        )
    _check_filled(splits)
    splits = align(splits)
    return replace(splits, notes=(*findings.notes, *splits.notes, *absent_classes(splits.training)))


def _check_division(validation: str | None, holdout: float | None) -> None:
    if validation is not None and holdout is not None:
        raise NetspecError("--validation and --holdout exclude each other: with another set nothing is held back")
    if holdout is not None and not 0 <= holdout < 1:
        raise NetspecError(f"--holdout: expected a share from 0 up to, not including, 1, received {holdout:g}")


def _with_validation(
    splits: Splits, url: str, validation: str, on_bad_sample: OnBadSample, findings: Findings
) -> Splits:
    """Replace the validation part of `splits` by another dataset."""
    other_findings = Findings()
    other = open_parts(validation, other_findings)
    other_findings.settle(validation, on_bad_sample, len(other.training))
    findings.notes.extend(other_findings.notes)
    if other.validation is not None:
        raise NetspecError(
            f"{validation}: is divided into a training and a validation part itself", "give one of its parts"
        )
    replaced = (f"{url}: its own validation part is not used",) if splits.validation is not None else ()
    return Splits(splits.training, other.training, (*splits.notes, *other.notes, *replaced))


def require_source(url: str) -> None:
    """Check that a path or URL exists, without opening the dataset.

    Raises:
        NetspecError: it does not exist.
    """
    place = open_place(url)
    if url != DIGITS and place.kind() is None:
        raise missing_place(place, [DIGITS])


def open_parts(url: str, findings: Findings) -> Splits:
    """Open a dataset with the parts that it has; without a validation part, `validation` is None.

    Raises:
        NetspecError: nothing is there, or it cannot be read.
    """
    place = open_place(url)
    kind = place.kind()
    if kind is None and url == DIGITS:
        with needed_for("the set `digits`"):
            from netspec.training.data.digits import open_digits  # noqa: PLC0415 # imports scikit-learn
        return open_digits()
    if kind is None:
        raise missing_place(place, [DIGITS])
    if kind == "folder":
        return _open_folder(place, findings)
    return _open_files(place, [place], findings)


def _open_folder(place: Place, findings: Findings) -> Splits:
    entries = place.entries()
    if any(entry.name == MANIFEST for entry in entries):
        return open_prepared(place, findings)
    parts = _named_parts(place, entries)
    if not parts:
        return Splits(_open_whole(place, entries, findings), None)
    named = {each.name for part in parts.values() for each in part}
    unnamed = [entry.name for entry in entries if is_data(entry) and entry.name not in named]
    if unnamed:
        findings.notes.append(f"{place}: not read, since named for no part: {abbreviate(unnamed)}")
    roles = assign_roles(str(place), parts, findings)
    opened = {role: _open_part(place, part, findings) for role, part in roles.items()}
    return Splits(opened["training"], opened.get("validation"))


def _named_parts(place: Place, entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """Group the folders and files that are named for a part: `train/`, `val-00000-of-00002.parquet`.

    A single folder `train/` may also be the class of trains. It is a part if another part exists, or if it contains
    folders or data files instead of images.
    """
    parts: dict[str, list[Entry]] = {}
    for entry in entries:
        word = _word(entry)
        if word in WORDS:
            parts.setdefault(word, []).append(entry)
    folders = [each for part in parts.values() for each in part if each.kind == "folder"]
    if len(parts) == 1 and folders and not _is_container(place / folders[0].name):
        return {}
    return parts


def _word(entry: Entry) -> str:
    """Return the word that may name a part: the name of a folder, or the first word of a data file's name."""
    name = entry.name.lower()
    if entry.kind == "folder":
        return name
    match = _FIRST_WORD.match(name)
    return match.group() if match and is_data(entry) else ""


def _is_container(place: Place) -> bool:
    return any(entry.kind == "folder" or is_data(entry) for entry in place.entries())


def _open_part(place: Place, part: Sequence[Entry], findings: Findings) -> Dataset:
    """Open a part, which is one folder or several files."""
    names = [entry.name for entry in part]
    if len(part) > 1 and any(entry.kind == "folder" for entry in part):
        raise NetspecError(f"{place}: expected one folder or files for a part, received {', '.join(names)}")
    if part[0].kind == "folder":
        folder = place / names[0]
        return _open_whole(folder, folder.entries(), findings)
    origin = place / names[0] if len(names) == 1 else place
    return _undivided(_open_files(origin, [place / name for name in names], findings), origin)


def _open_whole(place: Place, entries: Sequence[Entry], findings: Findings) -> Dataset:
    """Open a folder without parts: data files, images and masks, or class folders."""
    if holds_masks(entries):
        return open_mask_folder(place, entries, findings)
    files = [entry for entry in entries if is_data(entry)]
    if not files:
        return open_class_folders(place, entries, findings)
    folders = [entry.name for entry in entries if entry.kind == "folder"]
    if folders:
        names = ", ".join([files[0].name, *folders[:3]])
        raise NetspecError(f"{place}: holds files of data and folders beside them: {names}", "name one of them")
    return _undivided(_open_files(place, [place / entry.name for entry in files], findings), place)


def _undivided(splits: Splits, place: Place) -> Dataset:
    if splits.validation is not None:
        raise NetspecError(f"{place}: is divided itself, inside of a part of a set", "give it as the set")
    return splits.training


def _open_files(origin: Place, places: Sequence[Place], findings: Findings) -> Splits:
    """Open Parquet files, or one `.npz` file."""
    suffixes = {PurePath(place.name).suffix.lower() for place in places}
    if suffixes == {".parquet"}:
        with needed_for("reading Parquet"):
            from netspec.training.data.parquet import open_parquet  # noqa: PLC0415 # imports pyarrow
        return Splits(open_parquet(places, str(origin), findings), None)
    if suffixes != {".npz"}:
        raise NetspecError(f"{', '.join(map(str, places[:3]))}: not data that can be read", EXPECTED)
    if len(places) > 1:
        raise NetspecError(
            f"{origin}: expected one .npz file for a part, received {len(places)}", "join them, or name one"
        )
    return open_npz(places[0], findings)


def _check_filled(splits: Splits) -> None:
    if splits.without_samples:
        raise NetspecError(splits.without_samples[0], EXPECTED)
