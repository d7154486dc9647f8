"""Reading weights files of any origin: safetensors here, other formats by the backend that has their suffix."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

from netspec.errors import WeightsError
from netspec.lowering import ForeignWeights, backend_names, find_backend
from netspec.lowering.foreign import SMALL, printable, require_printable, shown, under_part, without_wrappers
from netspec.spec.text.files import read_bytes
from netspec.weights import read_arrays

SAFETENSORS: Final = ".safetensors"
INDEX: Final = ".index.json"  # the suffix of the index of a sharded file, as Hugging Face's libraries write it
PART: Final = re.compile(r"-(\d{5})-of-(\d{5})\.")
HEAD: Final = 64  # how many bytes are searched for the signs of a failed download
_NO_FILES: Final = {
    b"version https://git-lfs": ("a pointer of Git LFS, not the file", "`git lfs pull` fetches the file itself"),
    b"<": ("a web page, not weights", "the download went wrong: fetch it again"),
}


def read_weights(path: Path, under: str = "") -> ForeignWeights:
    """Read the arrays of a weights file by name. No code in the file is executed.

    Args:
        path: the file; of a sharded file, its `.index.json`.
        under: the key of the weights to read, such as `state_dict_ema`, in a file that holds several sets; or the
            prefix of their names, such as `model`, in a file that holds other arrays too.

    Raises:
        NetspecError: the file does not exist, or cannot be read.
        BackendError: a library that reads such files is not installed.
        WeightsError: the file has an unknown suffix, is damaged, was written by netspec, or holds no weights, several
            sets of them, or none under that key.
    """
    if path.name.lower().endswith(INDEX):
        weights = under_part(path, _read_index(path), under)
    elif (part := PART.search(path.name)) and part[2] != "00001":
        raise WeightsError(f"{path}: this is part {int(part[1])} of {int(part[2])}", _index_hint(path))
    else:
        weights = _read_file(path, under)
    require_printable(path, weights.arrays)
    arrays, notes = without_wrappers(weights.arrays)
    return ForeignWeights(arrays, (*weights.notes, *notes))


def _read_file(path: Path, under: str) -> ForeignWeights:
    """Read a single file."""
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
    """Check that a file exists, and is not what a failed download leaves in its place."""
    head = read_bytes(path, HEAD, suffixes)
    if not head:
        raise WeightsError(f"{path} is empty", "the download went wrong: fetch it again")
    for start, (what, hint) in _NO_FILES.items():
        if head.lstrip().startswith(start):
            raise WeightsError(f"{path}: this is {what}", hint)


def _readers() -> dict[str, str]:
    """The name of the backend that reads files with a suffix, by suffix."""
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


def _index_hint(path: Path) -> str:
    """The hint, for a shard, to give the index instead; it names the index if there is one in the folder."""
    indexes = sorted(other.name for other in path.parent.glob(f"*{INDEX}")) if path.parent.is_dir() else []
    return f"give the file that lists all of them: {indexes[0] if indexes else f'its name ends in {INDEX}'}"


def _read_index(path: Path) -> ForeignWeights:
    """Read all shards that an index lists, and check that each holds exactly the arrays that the index says."""
    shards: dict[str, ForeignWeights] = {}
    arrays = {}
    for name, shard in _weight_map(path).items():
        if shard not in shards:
            shards[shard] = _read_file(path.parent / shard, "")
        if name not in shards[shard].arrays:
            raise WeightsError(
                f"{path}: it says that {printable(name)} is in {shard}, which does not have it", "fetch both anew"
            )
        arrays[name] = shards[shard].arrays[name]
    for shard, weights in shards.items():
        if unlisted := weights.arrays.keys() - arrays.keys():
            message = f"{path}: {shard} holds {shown(sorted(unlisted))} too, which it does not list"
            raise WeightsError(message, "fetch both anew")
    return ForeignWeights(arrays, (f"the weights are in {len(shards)} files, which {path.name} lists",))


def _weight_map(path: Path) -> dict[str, str]:
    """The shard that has each array, by the array's name; shards have to be in the folder of the index."""
    _require_file(path, (INDEX,))
    try:
        index: Any = json.loads(path.read_bytes()) if path.stat().st_size <= SMALL else None
    except (ValueError, RecursionError):
        index = None
    shards = index.get("weight_map") if isinstance(index, dict) else None
    if not shards or not isinstance(shards, dict) or not all(isinstance(shard, str) for shard in shards.values()):
        raise WeightsError(
            f"{path}: not an index of weights", 'expected {"weight_map": {NAME: FILE, …}}, as Hugging Face writes it'
        )
    for shard in shards.values():
        if Path(shard).name != shard or not shard.strip(".") or shard.endswith(INDEX) or not shard.isprintable():
            raise WeightsError(f"{path}: it names {shard!r}, but all files of an index have to be in its folder")
    return shards
