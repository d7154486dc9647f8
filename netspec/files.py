"""Atomic writes of files and folders, and the location of the shipped specs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from netspec.errors import NetspecError

STAGE = ".netspec-"  # with which the names of staging folders begin


def write_whole(path: Path, content: str | bytes | Callable[[Path], None]) -> Path:
    """Write a file atomically: into a temporary file in the same folder, which is renamed once it is complete.

    Args:
        path: the file to write; missing folders are created.
        content: text (written as UTF-8), bytes, or a function that writes a file at the path that it is given.

    Raises:
        NetspecError: the folder cannot be created or written.
    """
    import tempfile  # noqa: PLC0415 # not needed by commands that only read, such as `netspec check`

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            if callable(content):
                content(temporary)
            else:
                temporary.write_bytes(content.encode() if isinstance(content, str) else content)
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        reason = "it is a folder, expected a file" if path.is_dir() else _reason(path.parent, error)
        raise NetspecError(f"cannot write {_destination(path)}: {reason}", "choose another place with --out") from error
    return path


def _reason(folder: Path, error: OSError) -> str:
    """Why nothing can be written into a folder: an operating system says of a file in its place that it exists."""
    with suppress(OSError):  # no permission to look
        for path in (folder, *folder.parents):
            if path.exists() and not path.is_dir():
                return f"{path} is a file, expected a folder"
    return error.strerror or str(error)


def shipped_specs() -> Path:
    """Return the folder of the shipped specs: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parent
    installed = package / "specs"
    return installed if installed.is_dir() else package.parent / "specs"


def _umask() -> int:
    """Return the process's file creation mask, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder whose files are moved into `folder`, under the same relative paths, at the end.

    If the body of the `with` statement raises, no file is moved, and folders that were created are removed.

    Raises:
        NetspecError: the folder cannot be created or written.
    """
    import shutil  # noqa: PLC0415 # as above
    import tempfile  # noqa: PLC0415

    created: list[Path] = []
    try:
        with _as_netspec_error(folder):
            _make_folder(folder, created)
            stage = Path(tempfile.mkdtemp(prefix=STAGE, dir=folder))
        try:
            yield stage
            with _as_netspec_error(folder):
                _move_files(stage, folder, created)
            created.clear()
        finally:
            shutil.rmtree(stage, ignore_errors=True)
    finally:
        for path in reversed(created):
            with suppress(OSError):  # another process has put files into it
                path.rmdir()


@contextmanager
def _as_netspec_error(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = _reason(folder, error)
        hint = "choose another folder with --out"
        raise NetspecError(f"cannot write {error.filename or folder}: {reason}", hint) from error


def _destination(path: Path) -> Path:
    """The path that a file of a staging folder is to get: the one that a user knows."""
    return Path(*(part for part in path.parts if not part.startswith(STAGE)))


def _move_files(source: Path, target: Path, created: list[Path]) -> None:
    for path in sorted(path for path in source.rglob("*") if path.is_file()):
        destination = target / path.relative_to(source)
        _make_folder(destination.parent, created)
        path.replace(destination)


def _make_folder(folder: Path, created: list[Path]) -> None:
    """Create a folder and its parents; append those that did not exist to `created`, outermost first."""
    absent = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    created += absent[::-1]
