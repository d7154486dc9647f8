"""A folder for each class, images in it; the folder's name is the class's."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePath
from typing import Final

import numpy as np

from netspec.errors import NetspecError
from netspec.training.data.dataset import BadSampleError, Dataset
from netspec.training.data.findings import Findings
from netspec.training.data.fingerprint import fingerprint
from netspec.training.data.places import Entry, Place
from netspec.words import counted

LISTING_THREADS: Final = 16  # folders behind a URL take their time to list
FILES: Final = (".parquet", ".npz")
# Whatever else a file is called, decoding it says whether it is an image.
NO_IMAGES: Final = frozenset(
    [
        *(".txt", ".md", ".rst", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".html", ".yaml", ".yml", ".py", ".log"),
        *(".npy", ".npz", ".parquet", ".mat", ".pkl", ".db", ".pdf"),
        *(".zip", ".tar", ".gz", ".tgz", ".xz", ".7z"),
    ]
)


class FolderDataset(Dataset):
    """Images in class folders. A million file names are one text and where each begins in it, not a million objects."""

    def __init__(self, root: Place, classes: tuple[str, ...], files: Sequence[Sequence[Entry]]) -> None:
        self._root = root
        self.origin, self.classes = str(root), classes
        self.labels = np.repeat(np.arange(len(files)), [len(each) for each in files]).astype(np.int64)
        names = [entry.name.encode("utf-8", "surrogateescape") for each in files for entry in each]
        self._names = b"".join(names)
        self._ends = np.cumsum([len(name) for name in names], dtype=np.int64)
        sizes = np.array([entry.size for each in files for entry in each], dtype="<i8")
        self.fingerprint = fingerprint("\0".join(classes), self.labels.astype("<i8"), self._names, self._ends, sizes)

    def read(self, index: int) -> bytes:
        """The file."""
        try:
            return self._place(index).read()
        except NetspecError as error:
            raise BadSampleError(error.message) from error

    def describe(self, index: int) -> str:
        """The file's path."""
        return str(self._place(index))

    def _place(self, index: int) -> Place:
        start = self._ends[index - 1] if index else 0
        name = self._names[start : self._ends[index]].decode("utf-8", "surrogateescape")
        return self._root / self.classes[int(self.labels[index])] / name


def open_class_folders(root: Place, entries: Sequence[Entry], findings: Findings) -> FolderDataset:
    """The images of the class folders among a folder's entries. Folders inside a class's folder are not searched.

    Raises:
        NetspecError: there are no folders.
    """
    classes = [entry.name for entry in entries if entry.kind == "folder"]
    if not classes:
        raise NetspecError(
            f"{root}: expected a folder for each class, or .parquet or .npz files, received "
            + (counted(len(entries), "other file") if entries else "an empty folder"),
            "of arrays in other formats, as CIFAR-10's batches, make a file: np.savez('set.npz', x_train=images, "
            "y_train=labels, …)"
            if entries
            else "",
        )
    with ThreadPoolExecutor(LISTING_THREADS) as pool:
        files = list(pool.map(lambda name: (root / name).entries(), classes))
    _require_images(root, classes, files)
    usable = [_images(root / name, found, findings) for name, found in zip(classes, files, strict=True)]
    return FolderDataset(root, tuple(classes), usable)


def _require_images(root: Place, classes: Sequence[str], files: Sequence[Sequence[Entry]]) -> None:
    """NetspecError where files of data lie one folder deeper than they are looked for, as in published repositories."""
    for name, entries in zip(classes, files, strict=True):
        if any(map(is_data, entries)) and all(entry.kind == "folder" or why_no_image(entry) for entry in entries):
            raise NetspecError(
                f"{root}: its folder {name} has files of data, not images of a class", f"name {root / name}"
            )


def _images(folder: Place, entries: Sequence[Entry], findings: Findings) -> list[Entry]:
    """What may be an image in a class's folder; the rest are problems."""
    files = [entry for entry in entries if entry.kind != "folder"]
    if not files:
        nested = ", only folders, which are not searched" if entries else ""
        findings.problems.append(f"{folder}: no images of this class{nested}")
    images = []
    for entry in files:
        why = why_no_image(entry)
        if why:
            findings.problems.append(f"{folder / entry.name}: {why}")
        else:
            images.append(entry)
    return images


def is_data(entry: Entry) -> bool:
    """Whether an entry is a file of many samples, by its name."""
    return entry.kind == "file" and PurePath(entry.name).suffix.lower() in FILES


def why_no_image(entry: Entry) -> str:
    """What is wrong with a file that should be an image, before it is read; nothing is the empty text."""
    if entry.kind == "other":
        return "not a file, or a link to nothing"
    if entry.size == 0:
        return "an empty file"
    suffix = PurePath(entry.name).suffix.lower()
    return "not an image, by its name" if suffix in NO_IMAGES else ""
