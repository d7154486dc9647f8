"""Weights as initializers of a model: in memory, inside its file, or in a data file beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import onnx_ir as ir

from netspec.files import write_whole
from netspec.graph.text import spec_hash
from netspec.lowering import Artifact
from netspec.ops.base import Array, Weights
from netspec_onnx.writer import METADATA_HASH, METADATA_OPTIMIZED

PAGE: Final = 4096  # bytes; arrays are aligned to pages, so that a runtime can map them into memory


def with_initializers(artifact: Artifact, tensors: Mapping[str, ir.TensorProtocol]) -> bytes:
    """The artifact's model with these inputs turned into initializers, and the metadata of its spec; deterministic."""
    model = ir.from_proto(onnx.ModelProto.FromString(bytes_of(artifact)))
    if artifact.optimized is not None:
        model.metadata_props[METADATA_HASH] = spec_hash(artifact.optimized.plain)
        if artifact.optimized.level != "none":
            model.metadata_props[METADATA_OPTIMIZED] = artifact.optimized.level
    graph = model.graph
    inputs = list(graph.inputs)
    graph.inputs.clear()
    graph.inputs.extend(value for value in inputs if value.name not in tensors)
    for value in inputs:
        if value.name in tensors:
            value.const_value = tensors[value.name]
            graph.register_initializer(value)
    content: bytes = ir.to_proto(model).SerializeToString(deterministic=True)
    return content


def external_tensors(arrays: Mapping[str, Array], location: str) -> dict[str, ir.ExternalTensor]:
    """Tensors that refer to a data file in which each array starts on a page."""
    tensors, end = {}, 0
    for name, array in arrays.items():
        start = -(-end // PAGE) * PAGE
        end = start + array.nbytes
        dtype, shape = ir.DataType.from_numpy(array.dtype), ir.Shape(array.shape)
        tensors[name] = ir.ExternalTensor(location, start, array.nbytes, dtype, shape=shape, name=name)
    return tensors


def write_model(artifact: Artifact, weights: Weights, folder: Path, largest_inline: int) -> list[Path]:
    """Write `NAME.onnx`, and `NAME.onnx.data` if the weights are larger than `largest_inline` bytes.

    Raises:
        WeightsError: the weights are not the graph's.
        NetspecError: a file cannot be written; previous files are then unchanged.
    """
    arrays = artifact.to_native(weights)
    path = folder / f"{artifact.graph.name}.onnx"
    if sum(array.nbytes for array in arrays.values()) <= largest_inline:
        content = with_initializers(artifact, {name: ir.tensor(array) for name, array in arrays.items()})
        return [write_whole(path, content)]
    data_path = path.with_name(f"{path.name}.data")
    tensors = external_tensors(arrays, data_path.name)
    content = with_initializers(artifact, tensors)

    def write_both(temporary: Path) -> None:
        # Both files are complete before the data file, and right after it the model, get their final names.
        temporary.write_bytes(content)
        write_whole(data_path, lambda data: write_arrays(data, arrays, tensors))

    write_whole(path, write_both)
    return [path, data_path]


def write_arrays(path: Path, arrays: Mapping[str, Array], tensors: Mapping[str, ir.ExternalTensor]) -> None:
    """Write each array at the offset of its tensor, without copying it."""
    with path.open("wb") as file:
        for name, array in arrays.items():
            file.seek(tensors[name].offset or 0)
            little_endian = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
            file.write(little_endian.reshape(-1).view(np.uint8).data)


def bytes_of(artifact: Artifact) -> bytes:
    """The serialized model of an artifact."""
    if not isinstance(artifact.content, bytes):
        raise TypeError(f"expected the bytes of an ONNX model, received {type(artifact.content).__name__}")
    return artifact.content
