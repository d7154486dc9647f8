"""Weights as canonical arrays: drawn from counter-based streams, kept as safetensors, checked when they come back."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from netspec.errors import WeightsError
from netspec.files import write_whole
from netspec.graph import Graph
from netspec.graph.text import spec_hash
from netspec.graph.weights import check_weights
from netspec.ops.base import Array, Weights
from netspec.ops.initializers import draw
from netspec.passes import Optimized

CanonicalWeights = dict[str, NDArray[np.float32]]
METADATA = "netspec"  # the key in a safetensors file; its value is JSON
IMPORT: Final = "`netspec weights import` reads those of other libraries"
SLOT = "/"  # in the names of what an optimizer keeps, `velocity/conv1.weight`, and in no weight's


def stream(seed: int, *key: str) -> np.random.Generator:
    """A random stream of its own for each seed and key: adding a layer leaves the others' streams as they were.

    Philox is counter-based (Salmon et al. 2011); its 128-bit key is a BLAKE2 hash of what names the stream.
    """
    text = "\0".join([str(seed), *key]).encode()
    digest = hashlib.blake2b(text, digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=np.frombuffer(digest, dtype="<u8")))


def initialize(graph: Graph, seed: int = 0) -> CanonicalWeights:
    """Every weight of a graph as its initializer says, float32, in canonical layout, by canonical name."""
    return {
        name: draw(w.initializer, w.shape, w.fan_in, w.fan_out, stream(seed, "initialize", name))
        for name, w in graph.weights.items()
    }


def save_weights(path: Path, graph: Graph, weights: Weights, optimized: Optimized | None = None) -> Path:
    """Write weights as safetensors, with the spec's name and hash as metadata: the same bytes for the same weights.

    Args:
        path: where to.
        graph: the spec's.
        weights: its.
        optimized: what passes made of the graph: what is written are the weights of that, and so that they cannot be
            taken for the spec's, the metadata say so.

    Raises:
        WeightsError: they are not the graph's weights.
        NetspecError: the file cannot be written.
    """
    optimized = optimized or Optimized(graph, graph, "none")
    found = optimized.weights(weights)
    metadata = {"spec": graph.name, "spec_hash": spec_hash(graph)}
    metadata |= {"optimized": optimized.level} if optimized.folds else {}
    return write_arrays(path, {name: np.asarray(array, np.float32) for name, array in found.items()}, metadata)


def load_weights(path: Path, graph: Graph) -> CanonicalWeights:
    """Read weights and check every name and shape against a graph. Of a checkpoint, the weights alone.

    The arrays are parts of the file, read when they are first touched; writing to them leaves it as it is.

    Raises:
        WeightsError: no such file, not safetensors, damaged, not float32, not finite, another network's, or those of
            the network optimized.
    """
    arrays, metadata = read_arrays(path)
    weights = {name: array for name, array in arrays.items() if SLOT not in name}
    if level := metadata.get("optimized"):
        raise WeightsError(
            f"{path}: these are weights of {metadata.get('spec')} after --optimize {level}, which are not the spec's",
            "`netspec build` without --optimize writes the spec's own",
        )
    try:
        check_weights(graph, weights)
    except WeightsError as error:
        made = metadata.get("spec")
        hint = f"the file was written for the spec {made!r}" if made and made != graph.name else error.hint
        hint = hint if metadata else f"netspec did not write this file; {IMPORT}"
        raise WeightsError(f"{path}: {error.message}", hint) from error
    for name, array in weights.items():
        if not np.issubdtype(array.dtype, np.floating):
            raise WeightsError(f"{path}: {name}: expected floating-point numbers, received {array.dtype}")
        if not _finite(array):
            raise WeightsError(f"{path}: {name}: holds NaN or infinite values", "the training that wrote it diverged")
    # Another program's header can leave the numbers at odd addresses: those are copied too.
    return {n: weights[n].astype(np.float32, copy=not weights[n].flags.aligned) for n in graph.weights}


def _finite(array: Array) -> bool:
    """Whether no element is NaN or infinite: the sum of squares tells at the speed of memory, unless it overflows."""
    flat = array.reshape(-1)
    with np.errstate(over="ignore", invalid="ignore"):
        squares = flat @ flat
    return bool(np.isfinite(squares)) or bool(np.isfinite(array).all())


def require_file(path: Path) -> None:
    """Look whether there is a file of weights, before what takes time.

    Raises:
        WeightsError: there is none, or it is a directory.
    """
    if not path.is_file():
        what = "is a directory" if path.is_dir() else "there is no such file"
        raise WeightsError(f"{path}: {what}", "give the .safetensors that `netspec build` wrote")


def read_arrays(path: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """Every array of a safetensors file, and netspec's metadata, empty where another program wrote the file.

    Raises:
        WeightsError: no such file, not safetensors, or damaged.
    """
    require_file(path)
    try:
        with safe_open(path, framework="numpy") as file:  # which checks the header, and copies what it reads
            metadata = file.metadata() or {}
        arrays = _map_arrays(path)
    except (SafetensorError, OSError, TypeError, KeyError) as error:
        # A length that no header has: the first eight bytes are of something else.
        other = "it is a file of another kind" if "header too large" in str(error) else "it may be cut short"
        hint = other if path.suffix == ".safetensors" else IMPORT
        raise WeightsError(f"{path}: not a readable safetensors file: {error}", hint) from error
    try:
        found = json.loads(metadata.get(METADATA, "{}"))
    except ValueError:
        found = {}
    return arrays, found if isinstance(found, dict) else {}


def _map_arrays(path: Path) -> dict[str, Array]:
    """The arrays of a safetensors file as private mappings of its parts: copied a page at a time, when written to.

    NumPy has no bfloat16: those are float32 here, and copies.

    Raises:
        WeightsError: an element type that NumPy lacks.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header: dict[str, dict[str, Any]] = json.loads(file.read(length))
    header.pop("__metadata__", None)
    if not header:
        return {}
    data = np.memmap(path, np.uint8, "c", offset=0)
    arrays = {}
    for name, entry in header.items():
        start, end = (8 + length + offset for offset in entry["data_offsets"])
        if entry["dtype"] == "BF16":  # the upper half of a float32
            wide = (data[start:end].view("<u2").astype("<u4") << 16).view("<f4")
        elif entry["dtype"] in _ELEMENTS:
            wide = data[start:end].view(_ELEMENTS[entry["dtype"]])
        else:
            raise WeightsError(
                f"{path}: {name} has elements of type {entry['dtype']}, which NumPy lacks",
                "save it in float32, float16 or bfloat16",
            )
        arrays[name] = wide.reshape(entry["shape"]).view(np.ndarray)
    return arrays


_ELEMENTS: Final = {
    **{"F64": "<f8", "F32": "<f4", "F16": "<f2", "BOOL": "?"},
    **{f"{sign}{8 * size}": f"<{sign.lower()}{size}" for sign in "IU" for size in (1, 2, 4, 8)},
}


def write_arrays(path: Path, arrays: Weights, metadata: Mapping[str, Any]) -> Path:
    """Write arrays as safetensors, whole or not at all, and on the disk before the file takes its name.

    Raises:
        NetspecError: the file cannot be written.
    """
    # One key: safetensors writes several in an order that changes from run to run.
    text = {METADATA: json.dumps(metadata)}

    def write(temporary: Path) -> None:
        try:
            save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, temporary, text)
        except SafetensorError as error:  # what the system said, a full disk for one, is in its words
            raise OSError(str(error)) from error
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())

    return write_whole(path, write)
