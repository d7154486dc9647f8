"""The backend object: lowering without torch, loading with it."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

import netspec_torch.activation
import netspec_torch.attention
import netspec_torch.convolution
import netspec_torch.dropout
import netspec_torch.linear
import netspec_torch.merge
import netspec_torch.normalization
import netspec_torch.parameter
import netspec_torch.pooling
import netspec_torch.reduction
import netspec_torch.resize
import netspec_torch.shape
import netspec_torch.transposed_convolution  # noqa: F401 # each module fills the table
from netspec.files import write_whole
from netspec.graph import Graph
from netspec.lowering import Artifact, Backend, Model, Trainer, TrainerSettings
from netspec.lowering.naming import module_name
from netspec.ops.base import Weights
from netspec.types import DType
from netspec_torch.table import TABLE
from netspec_torch.writer import ModuleWriter


class TorchBackend(Backend):
    """Lowers a graph to an `nn.Module`, and loads it on the meta device with weights assigned."""

    name = "torch"
    requires = MappingProxyType({"torch": "torch"})
    dtypes = frozenset({DType.FLOAT32, DType.FLOAT64})
    trains = True
    lowerings = TABLE

    def lower(self, graph: Graph) -> Artifact:
        """Source with one class, whose `forward` takes and returns tensors in (N, C, H, W)."""
        out = ModuleWriter(graph)
        for node in graph.nodes:
            TABLE.find(type(node.op))(node.op, node, out)
        return out.artifact()

    def load(self, artifact: Artifact, weights: Weights) -> Model:
        """An instance of the emitted class."""
        self.require()
        from netspec_torch.model import TorchModel

        return TorchModel(artifact, weights)

    def trainer(self, graph: Graph, weights: Weights, settings: TrainerSettings) -> Trainer:
        """The emitted class with autograd and fused updates, alone or as one of torchrun's processes."""
        self.require()
        from netspec_torch.trainer import TorchTrainer

        return TorchTrainer(self.lower(graph), weights, settings)

    def write(self, artifact: Artifact, weights: Weights, folder: Path) -> list[Path]:
        """`NAME.py`."""
        del weights
        return [write_whole(folder / f"{module_name(artifact.graph.name)}.py", artifact.content)]
