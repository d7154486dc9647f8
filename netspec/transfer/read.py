"""Weights files of any origin, read by the end of their name: safetensors here, the rest by the backend whose it is."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from netspec.errors import WeightsError
from netspec.lowering import ForeignWeights, backend_names, find_backend
from netspec.lowering.foreign import require_whole
from netspec.spec.files import read_bytes
from netspec.weights import read_arrays

SAFETENSORS: Final = ".safetensors"
HEAD: Final = 64  # bytes that tell what was saved in place of a file
_NO_FILES: Final = {
    b"version https://git-lfs": ("a pointer of Git LFS, not the file", "`git lfs pull` fetches the file itself"),
    b"<": ("a web page, not weights", "the download went wrong: fetch it again"),
}


def read_weights(path: Path, under: str = "") -> ForeignWeights:
    """The arrays of a file, by their names there. Nothing that is in it is executed.

    Args:
        path: the file.
        under: the key of the weights to read, `state_dict_ema`, in a file that holds several.

    Raises:
        NetspecError: no such file, or it cannot be read.
        BackendError: no backend knows such files, or what reads them is not installed.
        WeightsError: the file is damaged, holds no weights, none under that key or several, or netspec wrote it.
    """
    if path.name.lower().endswith(SAFETENSORS):
        _require_file(path, (SAFETENSORS,))
        require_whole(path, under)
        return _read_safetensors(path)
    readers = _readers()
    _require_file(path, (SAFETENSORS, *readers))
    suffix = next((s for s in sorted(readers, key=len, reverse=True) if path.name.lower().endswith(s)), None)
    if suffix is None:
        raise WeightsError(
            f"{path}: weights are read from files whose names end in {', '.join((SAFETENSORS, *readers))}",
            "rename it, if it is one of them",
        )
    return find_backend(readers[suffix]).read_weights(path, under)


def _require_file(path: Path, suffixes: tuple[str, ...]) -> None:
    """That there is a file, and not what a failed download leaves in its place."""
    head = read_bytes(path, HEAD, suffixes)
    if not head:
        raise WeightsError(f"{path} is empty", "the download went wrong: fetch it again")
    for start, (what, hint) in _NO_FILES.items():
        if head.lstrip().startswith(start):
            raise WeightsError(f"{path}: this is {what}", hint)


def _readers() -> dict[str, str]:
    """The backend that reads files whose names end so."""
    return {suffix: name for name in backend_names() for suffix in find_backend(name).weight_suffixes}


def _read_safetensors(path: Path) -> ForeignWeights:
    arrays, metadata = read_arrays(path)
    if metadata:
        raise WeightsError(
            f"{path}: netspec wrote this file, for the spec {metadata.get('spec')!r}: its names are canonical already",
            "give it to --weights of `netspec run`, `build` or `train`",
        )
    if not arrays:
        raise WeightsError(f"{path}: the file holds no arrays")
    return ForeignWeights(arrays)
