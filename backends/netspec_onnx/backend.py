"""The backend object: it lowers to a ModelProto without weights, loads it with onnxruntime, and writes `NAME.onnx`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

import netspec_onnx.activation
import netspec_onnx.arithmetic
import netspec_onnx.attention
import netspec_onnx.attention_bias
import netspec_onnx.convolution
import netspec_onnx.dropout
import netspec_onnx.linear
import netspec_onnx.merge
import netspec_onnx.normalization
import netspec_onnx.parameter
import netspec_onnx.pooling
import netspec_onnx.reduction
import netspec_onnx.resize
import netspec_onnx.shape
import netspec_onnx.transposed_convolution  # noqa: F401 # each module fills the table
from netspec.errors import BackendError
from netspec.graph import Graph
from netspec.lowering import Artifact, Backend, Model, SavedModel, without_heads
from netspec.ops.base import Weights
from netspec.types import DType
from netspec_onnx.opset import DEFAULT_OPSET, check_opset
from netspec_onnx.table import TABLE
from netspec_onnx.writer import GraphWriter

# A protobuf message must be smaller than 2 GiB; 1 MiB is left for the graph.
LARGEST_INLINE: Final = 2**31 - 2**20


class OnnxBackend(Backend):
    """Lowers a graph to an ONNX model with a free batch, and runs it on onnxruntime's CPU provider.

    Args:
        opset: the operator set of the models, from 13 to the newest that both onnx and onnxruntime support.
        largest_inline: the maximum size of weights in the model file, in bytes; larger ones go into `NAME.onnx.data`.

    Raises:
        BackendError: the opset is not supported.
    """

    name = "onnx"
    requires = MappingProxyType({"onnx": "onnx", "onnx_ir": "onnx-ir", "onnxruntime": "onnxruntime"})
    # onnxruntime's CPU provider has no float64 kernels for Conv, AveragePool, GlobalAveragePool, InstanceNormalization
    # and Erf. A float64 graph can be lowered to valid ONNX, but whether it can be loaded depends on its ops.
    dtypes = frozenset({DType.FLOAT32})
    trains = False
    lowerings = TABLE
    extra = "onnx"
    costly_passes = MappingProxyType(
        {
            "relu-after-max-pool": "onnxruntime computes a convolution and the ReLU after it as one",
            "in-place": "onnxruntime plans its memory itself",
            "channels-last": "onnxruntime chooses its layout itself",
        }
    )

    def __init__(self, opset: int = DEFAULT_OPSET, largest_inline: int = LARGEST_INLINE) -> None:
        self.opset = check_opset(opset)
        self.largest_inline = largest_inline

    def with_options(self, **options: object) -> OnnxBackend:
        """This backend with another `opset` or `largest_inline`."""
        current = {"opset": self.opset, "largest_inline": self.largest_inline}
        if unknown := sorted(set(options) - set(current)):
            raise BackendError(f"the onnx backend has no option {unknown[0]!r}; it has {', '.join(current)}")
        return OnnxBackend(**(current | options))  # type: ignore[arg-type] # __init__ checks the values

    def lower(self, graph: Graph) -> Artifact:
        """A serialized ModelProto whose weights are inputs; needs onnx and onnx-ir, but not onnxruntime.

        The model only infers, so auxiliary heads are left out.
        """
        self.require()
        optimized = without_heads(graph)
        out = GraphWriter(optimized.graph, self.opset)
        TABLE.lower(optimized.graph, out)
        return replace(out.artifact(), optimized=optimized) if graph.heads else out.artifact()

    def load(self, artifact: Artifact, weights: Weights, *, donated: bool = False) -> Model:
        """A session of onnxruntime with the weights as initializers."""
        del donated  # the arrays are always copied
        self.require()
        from netspec_onnx.model import OnnxModel

        return OnnxModel(artifact, weights)

    def write(self, artifact: Artifact, weights: Weights, folder: Path) -> list[Path]:
        """Write `NAME.onnx`, and `NAME.onnx.data` if the weights are too large for a protobuf file."""
        self.require()
        from netspec_onnx.initializers import write_model

        return write_model(artifact, weights, folder, self.largest_inline)

    def open(self, path: Path) -> SavedModel:
        """Open a model that `write` wrote, with its preprocessing."""
        self.require()
        from netspec_onnx.run import OnnxFile

        return OnnxFile(path)
