"""Weights as canonical arrays: drawn from counter-based streams, kept as safetensors, checked when they come back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from netspec.errors import WeightsError
from netspec.files import write_whole
from netspec.graph import Graph
from netspec.graph.text import spec_hash
from netspec.graph.weights import check_weights
from netspec.ops.base import Weights
from netspec.ops.initializers import draw

CanonicalWeights = dict[str, NDArray[np.float32]]
METADATA = "netspec"  # the key in a safetensors file; its value is JSON


def stream(seed: int, *key: str) -> np.random.Generator:
    """A random stream of its own for each seed and key: adding a layer leaves the others' streams as they were.

    Philox is counter-based (Salmon et al. 2011); its 128-bit key is a BLAKE2 hash of what names the stream.
    """
    text = "\0".join([str(seed), *key]).encode()
    digest = hashlib.blake2b(text, digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=np.frombuffer(digest, dtype="<u8")))


def initialize(graph: Graph, seed: int = 0) -> CanonicalWeights:
    """Every weight of a graph as its initialiser says, float32, in canonical layout, by canonical name."""
    return {
        name: draw(w.initializer, w.shape, w.fan_in, w.fan_out, stream(seed, "initialize", name))
        for name, w in graph.weights.items()
    }


def save_weights(path: Path, graph: Graph, weights: Weights) -> Path:
    """Write weights as safetensors, with the spec's name and hash as metadata: the same bytes for the same weights.

    Raises:
        WeightsError: they are not the graph's weights.
        NetspecError: the file cannot be written.
    """
    check_weights(graph, weights)
    arrays = {name: np.ascontiguousarray(weights[name], np.float32) for name in graph.weights}
    # One key: safetensors writes several in an order that changes from run to run.
    metadata = {METADATA: json.dumps({"spec": graph.name, "spec_hash": spec_hash(graph)})}
    return write_whole(path, lambda temporary: save_file(arrays, temporary, metadata))


def load_weights(path: Path, graph: Graph) -> CanonicalWeights:
    """Read weights and check every name and shape against a graph.

    Raises:
        WeightsError: no such file, not safetensors, damaged, not float32, not finite, or another network's.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: there is no such file", "give the .safetensors that `netspec build` wrote")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 # not a mapping
    except (SafetensorError, OSError, TypeError, KeyError) as error:
        raise WeightsError(
            f"{path}: not a readable safetensors file: {error}", "it may be cut short, or of another format"
        ) from error
    try:
        check_weights(graph, weights)
    except WeightsError as error:
        made = _spec_name(metadata)
        hint = f"the file was written for the spec {made!r}" if made and made != graph.name else error.hint
        raise WeightsError(f"{path}: {error.message}", hint) from error
    for name, array in weights.items():
        if not np.issubdtype(array.dtype, np.floating):
            raise WeightsError(f"{path}: {name}: expected floating-point numbers, received {array.dtype}")
        if not np.isfinite(array).all():
            raise WeightsError(f"{path}: {name}: holds NaN or infinite values", "the training that wrote it diverged")
    return {name: weights[name].astype(np.float32, copy=False) for name in graph.weights}


def _spec_name(metadata: Mapping[str, str]) -> str:
    """The spec that a file was written for, or empty where it does not say."""
    try:
        return str(json.loads(metadata[METADATA])["spec"])
    except (KeyError, TypeError, ValueError):
        return ""
