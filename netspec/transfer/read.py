"""Weights files of any origin, read by the end of their name: safetensors here, the rest by the backend whose it is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

from netspec.errors import WeightsError
from netspec.lowering import ForeignWeights, backend_names, find_backend
from netspec.lowering.foreign import SMALL, require_printable, shown, under_part, without_wrappers
from netspec.spec.text.files import read_bytes
from netspec.weights import read_arrays

SAFETENSORS: Final = ".safetensors"
INDEX: Final = ".index.json"  # of weights in several files, as the libraries of Hugging Face write them
PART: Final = re.compile(r"-(\d{5})-of-(\d{5})\.")
HEAD: Final = 64  # bytes that tell what was saved in place of a file
_NO_FILES: Final = {
    b"version https://git-lfs": ("a pointer of Git LFS, not the file", "`git lfs pull` fetches the file itself"),
    b"<": ("a web page, not weights", "the download went wrong: fetch it again"),
}


def read_weights(path: Path, under: str = "") -> ForeignWeights:
    """The arrays of a file, by their names there. Nothing that is in it is executed.

    Args:
        path: the file; of weights in several files their `.index.json`.
        under: the key of the weights to read, `state_dict_ema`, in a file that holds several; or what the names of
            those to read begin with, `model`, where others are beside them.

    Raises:
        NetspecError: no such file, or it cannot be read.
        BackendError: no backend knows such files, or what reads them is not installed.
        WeightsError: the file is damaged, holds no weights, none under that key or several, or netspec wrote it.
    """
    if path.name.lower().endswith(INDEX):
        found = under_part(path, _read_index(path), under)
    elif (part := PART.search(path.name)) and part[2] != "00001":
        raise WeightsError(f"{path}: this is part {int(part[1])} of {int(part[2])}", _index_beside(path))
    else:
        found = _read_file(path, under)
    require_printable(path, found.arrays)
    arrays, notes = without_wrappers(found.arrays)
    return ForeignWeights(arrays, (*found.notes, *notes))


def _read_file(path: Path, under: str) -> ForeignWeights:
    """The arrays of one file."""
    if path.name.lower().endswith(SAFETENSORS):
        _require_file(path, (SAFETENSORS,))
        return under_part(path, _read_safetensors(path), under)
    readers = _readers()
    _require_file(path, (SAFETENSORS, *readers))
    suffix = next((s for s in sorted(readers, key=len, reverse=True) if path.name.lower().endswith(s)), None)
    if suffix is None:
        raise WeightsError(
            f"{path}: weights are read from files whose names end in {', '.join((SAFETENSORS, *readers, INDEX))}",
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


def _index_beside(path: Path) -> str:
    found = sorted(other.name for other in path.parent.glob(f"*{INDEX}")) if path.parent.is_dir() else []
    return f"give the file that lists all of them: {found[0] if found else f'its name ends in {INDEX}'}"


def _read_index(path: Path) -> ForeignWeights:
    """The arrays of all the files that an index names, each where the index says, and no others in those files."""
    parts: dict[str, ForeignWeights] = {}
    arrays = {}
    for name, part in _weight_map(path).items():
        if part not in parts:
            parts[part] = _read_file(path.parent / part, "")
        if name not in parts[part].arrays:
            raise WeightsError(f"{path}: it says that {name} is in {part}, which does not have it", "fetch both anew")
        arrays[name] = parts[part].arrays[name]
    for part, found in parts.items():
        if beside := found.arrays.keys() - arrays.keys():
            told = f"{path}: {part} holds {shown(sorted(beside))} too, which it does not list"
            raise WeightsError(told, "fetch both anew")
    return ForeignWeights(arrays, (f"the weights are in {len(parts)} files, which {path.name} lists",))


def _weight_map(path: Path) -> dict[str, str]:
    """The file that has each array, by its name; a file beside the index, and no other."""
    _require_file(path, (INDEX,))
    try:
        index: Any = json.loads(path.read_bytes()) if path.stat().st_size <= SMALL else None
    except (ValueError, RecursionError):
        index = None
    found = index.get("weight_map") if isinstance(index, dict) else None
    if not found or not isinstance(found, dict) or not all(isinstance(part, str) for part in found.values()):
        raise WeightsError(
            f"{path}: not an index of weights", 'expected {"weight_map": {NAME: FILE, …}}, as Hugging Face writes it'
        )
    for part in found.values():
        if Path(part).name != part or not part.strip(".") or part.endswith(INDEX):
            raise WeightsError(f"{path}: it names {part!r}, and the files that it may name are beside it")
    return found
