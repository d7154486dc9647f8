"""Datasets with a folder of images for each class. The name of the folder is the name of the class."""

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
from netspec.words import abbreviate, counted

LISTING_THREADS: Final = 16  # listing a folder behind a URL has a high latency
DATA_SUFFIXES: Final = (".parquet", ".npz")
# Files with other suffixes are taken for images; decoding tells.
NON_IMAGE_SUFFIXES: Final = frozenset(
    [
        *(".txt", ".md", ".rst", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".html", ".yaml", ".yml", ".py", ".log"),
        *(".npy", ".npz", ".parquet", ".mat", ".pkl", ".db", ".pdf"),
        *(".zip", ".tar", ".gz", ".tgz", ".xz", ".7z"),
    ]
)


class FolderDataset(Dataset):
    """Images in class folders. To save memory, all file names are stored as one string and their end offsets."""

    def __init__(
        self, root: Place, classes: tuple[str, ...], files: Sequence[Sequence[Entry]], origin: str = ""
    ) -> None:
        self._root = root
        self.origin, self.classes = origin or str(root), classes
        self.labels = np.repeat(np.arange(len(files)), [len(each) for each in files]).astype(np.int64)
        names = [entry.name.encode("utf-8", "surrogateescape") for each in files for entry in each]
        self._names = b"".join(names)
        self._ends = np.cumsum([len(name) for name in names], dtype=np.int64)
        sizes = np.array([entry.size for each in files for entry in each], dtype="<i8")
        self.fingerprint = fingerprint("\0".join(classes), self.labels.astype("<i8"), self._names, self._ends, sizes)

    def read(self, index: int) -> bytes:
        """Return the content of the file."""
        try:
            return self._place(index).read()
        except NetspecError as error:
            raise BadSampleError(error.message) from error

    def describe(self, index: int) -> str:
        """Return the path of the file."""
        return str(self._place(index))

    def _place(self, index: int) -> Place:
        start = self._ends[index - 1] if index else 0
        name = self._names[start : self._ends[index]].decode("utf-8", "surrogateescape")
        return self._root / self.classes[int(self.labels[index])] / name


def open_class_folders(root: Place, entries: Sequence[Entry], findings: Findings) -> FolderDataset:
    """Open the class folders among the entries of a folder, or without labels its images, if there are none.

    Folders inside a class folder are not searched.

    Raises:
        NetspecError: there are no class folders, or they contain data files instead of images.
    """
    classes = [entry.name for entry in entries if entry.kind == "folder"]
    if entries and not classes and not findings.labelled:
        return FolderDataset(root.parent, (root.name,), [_images(root, entries, findings)], str(root))
    if not classes:
        raise NetspecError(
            f"{root}: expected a folder for each class, or .parquet or .npz files, received "
            + (counted(len(entries), "other file") if entries else "an empty folder"),
            "convert arrays in other formats, such as CIFAR-10's batches: np.savez('set.npz', x_train=images, "
            "y_train=labels, …)"
            if entries
            else "",
        )
    with ThreadPoolExecutor(LISTING_THREADS) as pool:
        files = list(pool.map(lambda name: (root / name).entries(), classes))
    _require_images(root, classes, files)
    _require_files(root, classes, files)
    images = [_images(root / name, entries, findings) for name, entries in zip(classes, files, strict=True)]
    return FolderDataset(root, tuple(classes), images)


def _require_images(root: Place, classes: Sequence[str], files: Sequence[Sequence[Entry]]) -> None:
    """Raise a NetspecError if the data files are one folder deeper than expected, as in published repositories."""
    for name, entries in zip(classes, files, strict=True):
        if any(map(is_data, entries)) and all(entry.kind == "folder" or why_no_image(entry) for entry in entries):
            raise NetspecError(
                f"{root}: its folder {name} has files of data, not images of a class", f"name {root / name}"
            )


def _require_files(root: Place, classes: Sequence[str], files: Sequence[Sequence[Entry]]) -> None:
    """Raise a NetspecError if the folders hold folders alone: then they are not those of the classes."""
    entries = [entry for each in files for entry in each]
    if entries and all(entry.kind == "folder" for entry in entries):
        raise NetspecError(
            f"{root}: expected a folder of images for each class, received folders in {abbreviate(classes, 3)}",
            f"name {root / classes[0]}, if the folders in it are those of the classes"
            if len(classes) == 1
            else "put the images of a class into its folder: folders in it are not searched",
        )


def _images(folder: Place, entries: Sequence[Entry], findings: Findings) -> list[Entry]:
    """Return the files of a class folder that may be images; report the others as problems."""
    files = [entry for entry in entries if entry.kind != "folder"]
    if not files:
        nested = ", only folders, which are not searched" if entries else ""
        findings.problems.append(f"{folder}: no images of this class{nested}")
    images = []
    for entry in files:
        problem = why_no_image(entry)
        if problem:
            findings.problems.append(f"{folder / entry.name}: {problem}")
        else:
            images.append(entry)
    return images


def is_data(entry: Entry) -> bool:
    """Whether an entry is a data file, which holds many samples, judging by its name."""
    return entry.kind == "file" and PurePath(entry.name).suffix.lower() in DATA_SUFFIXES


def why_no_image(entry: Entry) -> str:
    """Return why an entry cannot be an image, judging without reading it; an empty string if it can."""
    if entry.kind == "other":
        return "not a file, or a link to nothing"
    if entry.size == 0:
        return "an empty file"
    return "not an image, by its name" if PurePath(entry.name).suffix.lower() in NON_IMAGE_SUFFIXES else ""
