"""Files and folders: those of this machine here, those behind a URL in `remote`."""

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
UNKNOWN_SIZE = -1  # some servers do not tell


@dataclass(frozen=True, slots=True)
class Entry:
    """What a folder holds. `other` is a link to nothing, a socket and the like. Units: bytes."""

    name: str
    kind: Kind
    size: int


class Place(ABC):
    """A file or a folder; it need not be there. `str` is how the user wrote it. Can be pickled.

    What cannot be read raises a NetspecError that names the place.
    """

    @property
    def local(self) -> Path | None:
        """Its path, where it is on this machine: what is here is mapped into memory."""
        return None

    @property
    @abstractmethod
    def name(self) -> str:
        """The last part of the path."""

    @property
    @abstractmethod
    def parent(self) -> Place:
        """The folder that it is in."""

    @abstractmethod
    def __truediv__(self, name: str) -> Place:
        """What is of this name in the folder; several parts are joined by `/`."""

    @abstractmethod
    def kind(self) -> Kind | None:
        """What it is; None when it is not there."""

    @abstractmethod
    def entries(self) -> list[Entry]:
        """What the folder holds, by name; hidden files are left out."""

    @abstractmethod
    def size(self) -> int:
        """Length of the file. Units: bytes."""

    @abstractmethod
    def read(self, start: int = 0, stop: int | None = None) -> bytes:
        """The file's content, or a part of it."""

    @abstractmethod
    def open(self) -> BinaryIO:
        """The file, to read and seek in."""


def open_place(url: str) -> Place:
    """The place of a path, or of any URL that fsspec knows; `file://` is a path.

    Raises:
        NetspecError: an empty path; a URL for which a package is missing, or whose protocol is not known.
    """
    if not url:
        raise NetspecError("expected a path or a URL of data, received nothing")
    scheme, separator, rest = url.partition("://")
    if separator and scheme == "file":
        return LocalPlace(Path(rest))
    if separator or "::" in url:
        with needed_for(f"reading {url}"):
            from netspec.training.data.remote import open_url  # noqa: PLC0415 # fsspec is for URLs alone
        return open_url(url)
    return LocalPlace(Path(url).expanduser())


def missing_place(place: Place, others: Iterable[str] = ()) -> NetspecError:
    """The error for what is not there, with what its folder holds of a similar name."""
    try:
        siblings = [entry.name for entry in place.parent.entries()]
    except NetspecError:  # the folder is not there either
        siblings = []
    close = difflib.get_close_matches(place.name, siblings)
    close = [str(place.parent / name) for name in close] + difflib.get_close_matches(place.name, list(others))
    hint = f"did you mean {' or '.join(close)}?" if close else ""
    return NetspecError(f"{place}: there is no such file or folder", hint)


@dataclass(frozen=True, slots=True)
class LocalPlace(Place):
    """A file or a folder of this machine."""

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
        """The folder that it is in."""
        return LocalPlace(self.path.parent)

    def __truediv__(self, name: str) -> Place:
        """What is of this name in the folder."""
        return LocalPlace(self.path / name)

    def kind(self) -> Kind | None:
        """What it is; None when it is not there."""
        with _as_netspec_error(self):
            if self.path.is_dir():
                return "folder"
            return "file" if self.path.is_file() else "other" if self.path.exists() else None

    def entries(self) -> list[Entry]:
        """What the folder holds, by name."""
        with _as_netspec_error(self), scandir(self.path) as found:
            return sorted((_entry(each) for each in found if not is_hidden(each.name)), key=lambda each: each.name)

    def size(self) -> int:
        """Length of the file."""
        with _as_netspec_error(self):
            return self.path.stat().st_size

    def read(self, start: int = 0, stop: int | None = None) -> bytes:
        """The file's content, or a part of it."""
        with _as_netspec_error(self), self.path.open("rb") as file:
            file.seek(start)
            return file.read(-1 if stop is None else stop - start)

    def open(self) -> BinaryIO:
        """The file."""
        with _as_netspec_error(self):
            return self.path.open("rb")


def is_hidden(name: str) -> bool:
    """Whether a file is there for the operating system's own purposes."""
    return name.startswith(".") or name in {"Thumbs.db", "desktop.ini"}


def _entry(found: DirEntry[str]) -> Entry:
    """What a folder's entry is, links followed."""
    if found.is_dir():
        return Entry(found.name, "folder", 0)
    if found.is_file():
        return Entry(found.name, "file", found.stat().st_size)
    return Entry(found.name, "other", 0)


@contextmanager
def _as_netspec_error(place: Place) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise NetspecError(f"{place}: cannot be read: {error.strerror or error}") from error
