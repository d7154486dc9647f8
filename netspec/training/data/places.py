"""Files and folders as places: the interface, and the places of this machine. Those behind a URL are in `remote`."""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import DirEntry, scandir
from pathlib import Path
from typing import BinaryIO, Literal

from netspec.errors import NetspecError
from netspec.training.data.findings import needed_for

Kind = Literal["file", "folder", "other"]
UNKNOWN_SIZE = -1  # some servers do not report sizes


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of a folder. The kind `other` is a broken link, a socket and the like. Units of `size`: bytes."""

    name: str
    kind: Kind
    size: int


class Place(ABC):
    """A file or folder, which need not exist. `str` returns what the user wrote. Picklable.

    Methods that fail to read it raise a NetspecError that names the place.
    """

    @property
    def local(self) -> Path | None:
        """The path of a place on this machine, which can be memory-mapped; None for a remote place."""
        return None

    @property
    @abstractmethod
    def name(self) -> str:
        """The last part of the path."""

    @property
    @abstractmethod
    def parent(self) -> Place:
        """The folder that contains it."""

    @abstractmethod
    def __truediv__(self, name: str) -> Place:
        """Return the place of this name in the folder. The name may have several parts, joined by `/`."""

    @abstractmethod
    def kind(self) -> Kind | None:
        """Return what it is; None if it does not exist."""

    @abstractmethod
    def entries(self) -> list[Entry]:
        """Return the entries of the folder, sorted by name, without hidden files."""

    @abstractmethod
    def size(self) -> int:
        """Return the size of the file, or `UNKNOWN_SIZE`. Units: bytes."""

    @abstractmethod
    def read(self, start: int = 0, stop: int | None = None) -> bytes:
        """Return the content of the file from byte `start` up to `stop`."""

    @abstractmethod
    def open(self) -> BinaryIO:
        """Open the file for reading and seeking."""


def open_place(url: str) -> Place:
    """Return the place of a path, or of any URL that fsspec supports. `file://` is a local path.

    Raises:
        NetspecError: the path is empty, or the protocol of the URL is unknown or needs a package that is missing.
    """
    if not url:
        raise NetspecError("expected a path or a URL of data, received nothing")
    scheme, separator, rest = url.partition("://")
    if separator and scheme == "file":
        return LocalPlace(Path(rest))
    if separator or "::" in url:
        with needed_for(f"reading {url}"):
            from netspec.training.data.remote import open_url  # noqa: PLC0415 # imports fsspec
        return open_url(url)
    return LocalPlace(Path(url).expanduser())


def missing_place(place: Place, others: Iterable[str] = ()) -> NetspecError:
    """Return the error for a place that does not exist, with a hint of similar names in its folder and in `others`."""
    try:
        siblings = [entry.name for entry in place.parent.entries()]
    except NetspecError:  # the folder does not exist either
        siblings = []
    if place.name in siblings:
        return NetspecError(f"{place}: there is no such file or folder", "it is a link to nothing")
    close = difflib.get_close_matches(place.name, siblings)
    close = [str(place.parent / name) for name in close] + difflib.get_close_matches(place.name, list(others))
    hint = f"did you mean {' or '.join(close)}?" if close else ""
    return NetspecError(f"{place}: there is no such file or folder", hint)


@dataclass(frozen=True, slots=True)
class LocalPlace(Place):
    """A file or folder on this machine."""

    path: Path

    @property
    def local(self) -> Path:
        """The path itself."""
        return self.path

    def __str__(self) -> str:
        return str(self.path)

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.name

    @property
    def parent(self) -> Place:
        """The folder that contains it."""
        return LocalPlace(self.path.parent)

    def __truediv__(self, name: str) -> Place:
        """Return the place of this name in the folder."""
        return LocalPlace(self.path / name)

    def kind(self) -> Kind | None:
        """Return what it is, following links; None if it does not exist."""
        with _as_netspec_error(self):
            if self.path.is_dir():
                return "folder"
            return "file" if self.path.is_file() else "other" if self.path.exists() else None

    def entries(self) -> list[Entry]:
        """Return the entries of the folder, sorted by name."""
        with _as_netspec_error(self), scandir(self.path) as scan:
            return sorted((_entry(each) for each in scan if not is_hidden(each.name)), key=lambda entry: entry.name)

    def size(self) -> int:
        """Return the size of the file."""
        with _as_netspec_error(self):
            return self.path.stat().st_size

    def read(self, start: int = 0, stop: int | None = None) -> bytes:
        """Return the content of the file, or a part of it."""
        with _as_netspec_error(self), self.path.open("rb") as file:
            file.seek(start)
            return file.read(-1 if stop is None else stop - start)

    def open(self) -> BinaryIO:
        """Open the file."""
        with _as_netspec_error(self):
            return self.path.open("rb")


def is_hidden(name: str) -> bool:
    """Whether a name is that of a hidden file, or of one that an operating system adds for its own purposes."""
    return name.startswith(".") or name in {"Thumbs.db", "desktop.ini"}


def _entry(scanned: DirEntry[str]) -> Entry:
    """Convert a directory entry, following links."""
    if scanned.is_dir():
        return Entry(scanned.name, "folder", 0)
    if scanned.is_file():
        return Entry(scanned.name, "file", scanned.stat().st_size)
    return Entry(scanned.name, "other", 0)


@contextmanager
def _as_netspec_error(place: Place) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise NetspecError(f"{place}: cannot be read: {error.strerror or error}") from error
