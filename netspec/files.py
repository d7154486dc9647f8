"""Writing files so that they appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
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
            f"cannot write {path}: {error.strerror or error}", "choose another folder with --out"
        ) from error
    return path


def _umask() -> int:
    """The process's file creation mask, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
