"""Files and folders behind a URL, accessed through fsspec. Imported only for URLs."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, Final, cast

from fsspec.core import url_to_fs

from netspec.errors import NetspecError
from netspec.training.data.places import UNKNOWN_SIZE, Entry, Kind, Place, is_hidden

_KINDS: Final[dict[str, Kind]] = {"file": "file", "directory": "folder"}


class RemotePlace(Place):
    """A file or folder in an fsspec file system. File systems are pickled by their constructor arguments."""

    def __init__(self, filesystem: Any, path: str, shown: str) -> None:
        self._filesystem, self._path, self._shown = filesystem, path, shown

    def __str__(self) -> str:
        return self._shown

    @property
    def name(self) -> str:
        """The last part of the path."""
        return _last_part(self._path)

    @property
    def parent(self) -> Place:
        """The folder that contains it."""
        above = self._path.rstrip("/").rpartition("/")[0]
        return RemotePlace(self._filesystem, above, self._shown.rstrip("/").rpartition("/")[0])

    def __truediv__(self, name: str) -> Place:
        """Return the place of this name in the folder."""
        return RemotePlace(self._filesystem, f"{self._path.rstrip('/')}/{name}", f"{self._shown.rstrip('/')}/{name}")

    def kind(self) -> Kind | None:
        """Return what it is. A web server does not tell: with HTTP, a URL that ends with `/` is a folder."""
        with _as_netspec_error(self._shown):
            try:
                info = self._filesystem.info(self._path)
            except FileNotFoundError as error:
                cause = error.__cause__
                if isinstance(cause, OSError) and not isinstance(cause, FileNotFoundError):
                    raise cause from None  # fsspec also raises FileNotFoundError if, say, there is no connection
                return None
        if self._shown.startswith("http") and self._shown.endswith("/"):
            return "folder"
        return _KINDS.get(info["type"], "other")

    def entries(self) -> list[Entry]:
        """Return the entries of the folder, sorted by name."""
        with _as_netspec_error(self._shown):
            listing = self._filesystem.ls(self._path, detail=True)
        itself = self._path.strip("/")  # some file systems list the folder as an entry of itself
        infos = {_last_part(info["name"]): info for info in listing if info["name"].strip("/") != itself}
        return [_entry(name, info) for name, info in sorted(infos.items()) if name and not is_hidden(name)]

    def size(self) -> int:
        """Return the size of the file, or `UNKNOWN_SIZE`."""
        with _as_netspec_error(self._shown):
            size = self._filesystem.info(self._path)["size"]
        return UNKNOWN_SIZE if size is None else int(size)

    def read(self, start: int = 0, stop: int | None = None) -> bytes:
        """Return the content of the file, or a part of it."""
        with _as_netspec_error(self._shown):
            if start == 0 and stop is None:
                return cast("bytes", self._filesystem.cat_file(self._path))
            content = cast("bytes", self._filesystem.cat_file(self._path, start=start, end=stop))
        if stop is not None and len(content) > stop - start:  # the web server ignores ranges and sends the whole file
            return content[start:stop]
        return content

    def open(self) -> BinaryIO:
        """Open the file, which is fetched in blocks as it is read."""
        with _as_netspec_error(self._shown):
            return cast("BinaryIO", _RemoteFile(self._filesystem.open(self._path, "rb"), self._shown))


class _RemoteFile(io.RawIOBase):
    """An fsspec file that raises a NetspecError, also while another library reads it."""

    def __init__(self, file: Any, url: str) -> None:
        self._file, self._url = file, url

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with _as_netspec_error(self._url):
            content = self._file.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with _as_netspec_error(self._url):
            return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        self._file.close()
        super().close()


def open_url(url: str) -> RemotePlace:
    """Return the place of a URL.

    Raises:
        NetspecError: the protocol is unknown, needs a package that is missing, or refuses the URL.
    """
    with _as_netspec_error(url):
        filesystem, path = url_to_fs(url)
    return RemotePlace(filesystem, path, url)


def _last_part(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def _entry(name: str, info: dict[str, Any]) -> Entry:
    size = info.get("size")
    return Entry(name, _KINDS.get(info["type"], "other"), UNKNOWN_SIZE if size is None else int(size))


@contextmanager
def _as_netspec_error(url: str) -> Iterator[None]:
    """Convert every exception to a NetspecError: the library of each protocol has its own exception types."""
    try:
        yield
    except ImportError as error:  # fsspec's message says which package to install
        raise NetspecError(f"{url}: cannot be opened: {error}", "install the package that is named here") from error
    except Exception as error:
        raise NetspecError(f"{url}: cannot be read: {type(error).__name__}: {error}") from error
