"""The backend object: lowering to a ModelProto without weights, loading with onnxruntime, writing `NAME.onnx`."""

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

# A protobuf message must stay below 2 GiB; a megabyte is left to the graph itself.
LARGEST_INLINE: Final = 2**31 - 2**20


class OnnxBackend(Backend):
    """Lowers a graph to an ONNX model with a free batch, and runs it on onnxruntime's CPU provider.

    Args:
        opset: operator set of the models, 13 up to what the installed onnx and onnxruntime both know.
        largest_inline: bytes of weights up to which a model is one file; beyond it they go into `NAME.onnx.data`.

    Raises:
        BackendError: an opset that is not supported.
    """

    name = "onnx"
    requires = MappingProxyType({"onnx": "onnx", "onnx_ir": "onnx-ir", "onnxruntime": "onnxruntime"})
    # onnxruntime's CPU provider has no float64 kernels for Conv, AveragePool, GlobalAveragePool, InstanceNormalization
    # and Erf. A float64 graph can be lowered, and is valid ONNX; what can be loaded of it depends on its ops.
    dtypes = frozenset({DType.FLOAT32})
    trains = False
    lowerings = TABLE
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
        own = {"opset": self.opset, "largest_inline": self.largest_inline}
        if unknown := sorted(set(options) - set(own)):
            raise BackendError(f"the onnx backend has no option {unknown[0]!r}; it has {', '.join(own)}")
        return OnnxBackend(**(own | options))  # type: ignore[arg-type] # __init__ checks what a caller passes

    def lower(self, graph: Graph) -> Artifact:
        """A serialized ModelProto whose weights are inputs; needs onnx and onnx-ir, not onnxruntime.

        It infers, and so has no auxiliary heads.
        """
        self.require()
        optimized = without_heads(graph)
        out = GraphWriter(optimized.graph, self.opset)
        for node in optimized.graph.nodes:
            TABLE.find(type(node.op))(node.op, node, out)
        return replace(out.artifact(), optimized=optimized) if graph.heads else out.artifact()

    def load(self, artifact: Artifact, weights: Weights, *, donated: bool = False) -> Model:
        """A session of onnxruntime with the weights as initializers."""
        del donated  # it copies them in any case
        self.require()
        from netspec_onnx.model import OnnxModel

        return OnnxModel(artifact, weights)

    def write(self, artifact: Artifact, weights: Weights, folder: Path) -> list[Path]:
        """`NAME.onnx`, and `NAME.onnx.data` when the weights are more than a file of protobuf can hold."""
        self.require()
        from netspec_onnx.initializers import write_model

        return write_model(artifact, weights, folder, self.largest_inline)

    def open(self, path: Path) -> SavedModel:
        """A model that `write` wrote, ready to run, with its preprocessing."""
        self.require()
        from netspec_onnx.run import OnnxFile

        return OnnxFile(path)
