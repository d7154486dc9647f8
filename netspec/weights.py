"""Canonical weights: initialized from counter-based random streams, saved as safetensors, checked when loaded."""

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
METADATA = "netspec"  # the metadata key in a safetensors file; its value is JSON
FINITE: Final = "finite"  # the key of the record that every value was found finite when the file was written
IMPORT: Final = "`netspec weights import` reads those of other libraries"
BESIDE_ONNX: Final = "give the .safetensors that `netspec build` wrote with the model"
SLOT = "/"  # separates an optimizer's slot from the weight, `velocity/conv1.weight`; no weight's name contains it


def stream(seed: int, *key: str) -> np.random.Generator:
    """Return an independent random stream for each seed and key, so that adding a layer leaves the others' unchanged.

    Philox is counter-based (Salmon et al. 2011). Its 128-bit key is a BLAKE2 hash of the seed and the key.
    """
    text = "\0".join([str(seed), *key]).encode()
    digest = hashlib.blake2b(text, digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=np.frombuffer(digest, dtype="<u8")))


def initialize(graph: Graph, seed: int = 0) -> CanonicalWeights:
    """Draw every weight of a graph from its initializer: float32 arrays in canonical layout, by canonical name."""
    return {
        name: draw(w.initializer, w.shape, w.fan_in, w.fan_out, stream(seed, "initialize", name))
        for name, w in graph.weights.items()
    }


def save_weights(path: Path, graph: Graph, weights: Weights, optimized: Optimized | None = None) -> Path:
    """Write weights as safetensors, with the spec's name and hash as metadata: the same bytes for the same weights.

    If every value is finite, the metadata record that, so that no reader has to look at every value again.

    Args:
        path: the file to write.
        graph: the graph of the spec.
        weights: the graph's weights.
        optimized: the result of optimizing `graph`. The weights are then converted to those of the optimized graph,
            and if any of them differ, the metadata record the level, so that they cannot be taken for the spec's.

    Raises:
        WeightsError: the weights are not the graph's.
        NetspecError: the file cannot be written.
    """
    optimized = optimized or Optimized(graph, graph, "none")
    metadata: dict[str, Any] = {"spec": graph.name, "spec_hash": spec_hash(graph)}
    metadata |= {"optimized": optimized.level} if optimized.folds else {}
    arrays = {name: np.asarray(array, np.float32) for name, array in optimized.weights(weights).items()}
    metadata |= {FINITE: True} if all(map(_is_finite, arrays.values())) else {}
    return write_arrays(path, arrays, metadata)


def load_weights(path: Path, graph: Graph) -> CanonicalWeights:
    """Read weights and check every name and shape against a graph; of a checkpoint, read only the weights.

    float32 arrays are copy-on-write views of the file, read when they are first accessed. Others are converted. Values
    are checked to be finite unless netspec recorded that when it wrote the file.

    Raises:
        WeightsError: the file does not exist, is damaged or is not safetensors; or its weights are another network's,
            an optimized network's, not floating-point, or not finite in float32; or those of a `constant` are others.
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
        spec = metadata.get("spec")
        hint = f"the file was written for the spec {spec!r}" if spec and spec != graph.name else error.hint
        hint = hint if metadata else f"netspec did not write this file; {IMPORT}"
        raise WeightsError(f"{path}: {error.message}", hint) from error
    for name, weight in graph.weights.items():
        if weight.fixed and not np.array_equal(weights[name], draw(weight.initializer, weight.shape, 0, 0, stream(0))):
            raise WeightsError(
                f"{path}: {name} holds other values than the `constant` of {graph.name}",
                "the file was written for another version of the spec",
            )
    finite = metadata.get(FINITE) is True
    return {name: _as_float32(weights[name], f"{path}: {name}", finite=finite) for name in graph.weights}


def _as_float32(array: Array, where: str, *, finite: bool) -> NDArray[np.float32]:
    """The array in float32, without a copy if it is already; WeightsError if a value is not known or found finite."""
    if not np.issubdtype(array.dtype, np.floating):
        raise WeightsError(f"{where}: expected floating-point numbers, received {array.dtype}")
    with np.errstate(over="ignore"):
        # The header of another program may leave the data unaligned: copy it, for frameworks expect aligned arrays.
        converted = array.astype(np.float32, copy=not array.flags.aligned)
    if not finite and not _is_finite(converted):
        if _is_finite(array):
            raise WeightsError(f"{where}: holds values beyond the range of float32")
        raise WeightsError(f"{where}: holds NaN or infinite values", "the training that wrote it diverged")
    return converted


def _is_finite(array: Array) -> bool:
    """Whether no element is NaN or infinite. The sum of squares tells at memory speed, unless it overflows."""
    flat = array.reshape(-1)
    with np.errstate(over="ignore", invalid="ignore"):
        squares = flat @ flat
    return bool(np.isfinite(squares)) or bool(np.isfinite(array).all())


def require_file(path: Path) -> None:
    """Check that a weights file exists, before anything that takes time.

    Raises:
        WeightsError: the file does not exist, or is a directory.
    """
    if not path.is_file():
        what = "is a directory" if path.is_dir() else "there is no such file"
        raise WeightsError(f"{path}: {what}", "give the .safetensors that `netspec build` or `train` wrote")


def read_arrays(path: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """Read every array of a safetensors file, and netspec's metadata, empty if another program wrote the file.

    Raises:
        WeightsError: the file does not exist, is damaged, or is not safetensors.
    """
    require_file(path)
    try:
        with safe_open(path, framework="numpy") as file:  # used for its checks of the header; its arrays are copies
            metadata = file.metadata() or {}
        arrays = _map_arrays(path)
    except (SafetensorError, OSError, TypeError, KeyError) as error:
        # "header too large": the first eight bytes are no header length, so the file has another format.
        other = "it is a file of another kind" if "header too large" in str(error) else "it may be cut short"
        hint = {".safetensors": other, ".onnx": BESIDE_ONNX}.get(path.suffix, IMPORT)
        raise WeightsError(f"{path}: not a readable safetensors file: {error}", hint) from error
    try:
        netspec_metadata = json.loads(metadata.get(METADATA, "{}"))
    except ValueError:
        netspec_metadata = {}
    return arrays, netspec_metadata if isinstance(netspec_metadata, dict) else {}


def _map_arrays(path: Path) -> dict[str, Array]:
    """Map the arrays of a safetensors file into memory, copy-on-write; bfloat16, which NumPy lacks, becomes float32.

    Raises:
        WeightsError: NumPy lacks an element type.
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
            flat = (data[start:end].view("<u2").astype("<u4") << 16).view("<f4")
        elif entry["dtype"] in _ELEMENTS:
            flat = data[start:end].view(_ELEMENTS[entry["dtype"]])
        else:
            raise WeightsError(
                f"{path}: {name} has elements of type {entry['dtype']}, which NumPy lacks",
                "save it in float32, float16 or bfloat16",
            )
        arrays[name] = flat.reshape(entry["shape"]).view(np.ndarray)
    return arrays


_ELEMENTS: Final = {
    **{"F64": "<f8", "F32": "<f4", "F16": "<f2", "BOOL": "?"},
    **{f"{sign}{8 * size}": f"<{sign.lower()}{size}" for sign in "IU" for size in (1, 2, 4, 8)},
}


def write_arrays(path: Path, arrays: Weights, metadata: Mapping[str, Any]) -> Path:
    """Write arrays as safetensors, atomically: the data are on the disk (fsync) before the file gets its name.

    Raises:
        NetspecError: the file cannot be written.
    """
    # All metadata under one key: safetensors writes several keys in an order that changes from run to run.
    text = {METADATA: json.dumps(metadata)}

    def write(temporary: Path) -> None:
        try:
            save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, temporary, text)
        except SafetensorError as error:  # wraps the system's error, such as a full disk
            raise OSError(str(error)) from error
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())

    return write_whole(path, write)
