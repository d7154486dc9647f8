"""Writing files so that they appear whole or not at all; and where the shipped specs are."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from netspec.errors import NetspecError


def write_whole(path: Path, content: str | bytes | Callable[[Path], None]) -> Path:
    """Write a file by way of a temporary neighbor that takes its name once it is complete.

    Args:
        path: where it goes; missing folders are made.
        content: text (UTF-8), bytes, or a function that writes the file whose path it is given.

    Raises:
        NetspecError: the folder cannot be made or written.
    """
    import tempfile  # noqa: PLC0415 # commands that only read, such as check, need none

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
        raise NetspecError(
            f"cannot write {path}: {error.strerror or error}", "choose another place with --out"
        ) from error
    return path


def shipped_specs() -> Path:
    """The folder of the specs that come with netspec: in the installed package, or beside it in its repository."""
    package = Path(__file__).parent
    installed = package / "specs"
    return installed if installed.is_dir() else package.parent / "specs"


def _umask() -> int:
    """The process's file creation mask, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """A folder to write files in, which are moved into `folder`, under the same relative paths, once all are there.

    When what is done inside fails, nothing is moved, and a folder that was not there before is not there after.

    Raises:
        NetspecError: the folder cannot be made or written.
    """
    import shutil  # noqa: PLC0415 # as above
    import tempfile  # noqa: PLC0415

    made: list[Path] = []
    try:
        with _as_netspec_error(folder):
            _make_folder(folder, made)
            stage = Path(tempfile.mkdtemp(prefix=".netspec-", dir=folder))
        try:
            yield stage
            with _as_netspec_error(folder):
                _move_files(stage, folder, made)
            made.clear()
        finally:
            shutil.rmtree(stage, ignore_errors=True)
    finally:
        for path in reversed(made):
            with suppress(OSError):  # not empty: files of another have come
                path.rmdir()


@contextmanager
def _as_netspec_error(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise NetspecError(
            f"cannot write {error.filename or folder}: {error.strerror or error}", "choose another folder with --out"
        ) from error


def _move_files(source: Path, target: Path, made: list[Path]) -> None:
    for path in sorted(path for path in source.rglob("*") if path.is_file()):
        destination = target / path.relative_to(source)
        _make_folder(destination.parent, made)
        path.replace(destination)


def _make_folder(folder: Path, made: list[Path]) -> None:
    """Make a folder with its parents; those that were not there are added to `made`, outermost first."""
    absent = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    made += absent[::-1]
