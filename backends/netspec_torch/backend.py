"""The backend object: it lowers without importing torch, and imports it to load."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import Any

import netspec_torch.activation
import netspec_torch.arithmetic
import netspec_torch.attention
import netspec_torch.attention_bias
import netspec_torch.collective
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
from netspec.errors import BackendError
from netspec.graph import Graph
from netspec.graph.placement import place
from netspec.graph.tower import tower_graph
from netspec.lowering import Artifact, Backend, ForeignWeights, Model, TowerSettings, Trainer, TrainerSettings
from netspec.ops.base import Weights
from netspec.types import DType
from netspec_torch.table import TABLE
from netspec_torch.writer import ModuleWriter


class TorchBackend(Backend):
    """Lowers a graph to the source of an `nn.Module`, and loads it.

    Args:
        compile: whether models are compiled ahead of time when they are loaded or written; they then only infer.
        batch_size: number of samples that a compiled model takes at once; None for any number.

    Raises:
        BackendError: a batch size is not a positive number, or given without `compile`.
    """

    name = "torch"
    requires = MappingProxyType({"torch": "torch"})
    dtypes = frozenset({DType.FLOAT32, DType.FLOAT64})
    lowerings = TABLE
    extra = "torch"
    supports_towers = True
    has_state_dict = True
    weight_suffixes = (".pth", ".pt", ".pth.tar", ".bin", ".ckpt")

    def __init__(self, compile: bool = False, batch_size: int | None = None) -> None:
        if batch_size is not None and not compile:
            raise BackendError("batch_size is of a compiled model; others take any number of samples", "add compile")
        if batch_size is not None and batch_size < 1:
            raise BackendError(f"batch_size: expected 1 or more, received {batch_size}")
        self.compile, self.batch_size = compile, batch_size
        self.trains = not compile

    def with_options(self, **options: Any) -> TorchBackend:
        """This backend with other values of `compile` and `batch_size`."""
        current = {"compile": self.compile, "batch_size": self.batch_size}
        if unknown := sorted(set(options) - set(current)):
            raise BackendError(f"the torch backend has no option {unknown[0]!r}; it has {' and '.join(current)}")
        return TorchBackend(**{**current, **options})

    def lower(self, graph: Graph) -> Artifact:
        """Python source whose main class has a `forward` that takes and returns tensors in (N, C, H, W)."""
        out = ModuleWriter(graph, inference=graph.inference or self.compile)
        TABLE.lower(graph, out)
        return out.artifact()

    def load(self, artifact: Artifact, weights: Weights, *, donated: bool = False) -> Model:
        """An instance of the emitted class, compiled if the backend compiles."""
        self.require()
        if self.compile:
            from netspec_torch.compiled import CompiledModel

            return CompiledModel(artifact, weights, self.batch_size, donated=donated)
        from netspec_torch.model import TorchModel

        return TorchModel(artifact, weights, donated=donated)

    def load_tower(self, graph: Graph, weights: Weights, settings: TowerSettings) -> Model:
        """An instance of the class of one tower, on the CPU, that exchanges values with the other processes."""
        self.require()
        from netspec_torch.tower_model import TowerModel

        placement = place(graph, settings.towers)
        return TowerModel(self.lower(tower_graph(placement)), weights, settings, placement)

    def trainer(self, graph: Graph, weights: Weights, settings: TrainerSettings) -> Trainer:
        """A trainer of the emitted class, by itself or as one of torchrun's processes."""
        self.require()
        if self.compile:
            raise BackendError("a compiled model cannot be trained", "leave out compile")
        from netspec_torch.trainer import TorchTrainer

        if settings.towers == 1:
            return TorchTrainer(self.lower(graph), weights, settings)
        placement = place(graph, settings.towers)
        return TorchTrainer(self.lower(tower_graph(placement)), weights, settings, placement)

    def write(self, artifact: Artifact, weights: Weights, folder: Path) -> list[Path]:
        """Write `NAME.py`, and `NAME.pt2` if the backend compiles."""
        written = [artifact.write_source(folder)]
        if self.compile:
            self.require()
            from netspec_torch.compiled import write_package

            package = written[0].with_suffix(".pt2")
            written.append(write_package(artifact, weights, package, self.batch_size))
        return written

    def read_weights(self, path: Path, under: str = "") -> ForeignWeights:
        """The state dict in a file of `torch.save`, by itself or in a checkpoint; see `netspec_torch.foreign`."""
        self.require()
        from netspec_torch.foreign import read_state

        return read_state(path, under)
