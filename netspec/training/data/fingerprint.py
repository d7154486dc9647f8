"""Short hashes that identify the content of datasets and files."""

from __future__ import annotations

import hashlib
from typing import Any, BinaryIO

from numpy.typing import NDArray

_CHUNK = 1 << 20  # bytes


def fingerprint(*parts: str | bytes | NDArray[Any]) -> str:
    """Return a 128-bit BLAKE2 hash of the parts in hexadecimal. The length of each part is hashed too.

    >>> fingerprint("ab", "c") == fingerprint("a", "bc")
    False
    """
    digest = _hash()
    for part in parts:
        content = part.encode("utf-8", "surrogateescape") if isinstance(part, str) else _content(part)
        digest.update(len(content).to_bytes(8, "little"))
        digest.update(content)
    return digest.hexdigest()


def file_digest(file: BinaryIO) -> str:
    """Return a 128-bit BLAKE2 hash of a file's content in hexadecimal."""
    digest = _hash()
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def _hash() -> hashlib.blake2b:
    return hashlib.blake2b(digest_size=16)


def _content(part: bytes | NDArray[Any]) -> bytes:
    return part if isinstance(part, bytes) else part.tobytes()
