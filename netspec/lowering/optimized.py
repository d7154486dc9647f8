"""A backend that rewrites each graph before it lowers it: whatever takes a backend takes this one too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from netspec.errors import BackendError
from netspec.graph import Graph
from netspec.lowering.artifact import Artifact
from netspec.lowering.backend import Backend, Gradients, Model, SavedModel
from netspec.lowering.foreign import ForeignWeights
from netspec.lowering.trainer import TowerSettings, Trainer, TrainerSettings
from netspec.ops.base import Array, Weights
from netspec.passes import Level, Optimized, optimize

HINT = "optimize for `training`, or not at all"


class InferenceModel(Model):
    """A model of a graph that means what it should at inference alone: its dropout is gone, its statistics are fixed.

    Attributes:
        native: the framework's own object.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self.artifact, self.native = model.artifact, model.native

    def forward(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """As the model does."""
        return self._model.forward(inputs)

    def forward_training(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Never: what trains is not in the graph any more."""
        raise BackendError(f"{self.artifact.graph.name} is optimized for inference: no training mode", HINT)

    def gradients(self, inputs: Mapping[str, Array], cotangents: Mapping[str, Array]) -> Gradients:
        """Never: the weights are not those that a gradient would be of."""
        raise BackendError(f"{self.artifact.graph.name} is optimized for inference: no gradients", HINT)

    def weights(self) -> dict[str, Array]:
        """As the model does: the weights of the rewritten graph."""
        return self._model.weights()


class OptimizedBackend(Backend):
    """A backend at a level of optimization. Weights are given as the spec's graph has them.

    Args:
        backend: what lowers the rewritten graphs.
        level: `training` or `inference`; at `inference` its models give no gradients.
    """

    def __init__(self, backend: Backend, level: Level) -> None:
        self.backend, self.level = backend, level
        self.name, self.requires, self.dtypes = backend.name, backend.requires, backend.dtypes
        self.lowerings, self.costly_passes = backend.lowerings, backend.costly_passes
        self.in_towers, self.weight_suffixes = backend.in_towers, backend.weight_suffixes
        self.trains = backend.trains and level != "inference"

    def optimize(self, graph: Graph, *without: str) -> Optimized:
        """The graph after the passes of the level that serve this backend."""
        return optimize(graph, self.level, {*self.costly_passes, *without})

    def lower(self, graph: Graph) -> Artifact:
        """The artifact of the rewritten graph."""
        optimized = self.optimize(graph)
        return replace(self.backend.lower(optimized.graph), optimized=optimized)

    def lower_nodes(self, graph: Graph) -> tuple[Artifact, dict[str, str]]:
        """An artifact that shows the values of the rewritten graph that equal one of the graph."""
        # What is shown must not be written over.
        optimized = self.optimize(graph, "in-place")
        shown = optimized.plain_values()
        artifact = self.backend.lower(optimized.graph.with_outputs(shown))
        return replace(artifact, optimized=optimized), shown

    def load(self, artifact: Artifact, weights: Weights, *, donated: bool = False) -> Model:
        """As the backend does; of a graph for inference, a model without gradients."""
        model = self.backend.load(artifact, weights, donated=donated)
        return InferenceModel(model) if artifact.graph.inference else model

    def load_tower(self, graph: Graph, weights: Weights, settings: TowerSettings) -> Model:
        """Of the rewritten graph, which has the weights of the graph.

        Raises:
            BackendError: the level is `inference`.
        """
        return self.backend.load_tower(self._in_training(graph), weights, settings)

    def write(self, artifact: Artifact, weights: Weights, folder: Path) -> list[Path]:
        """As the backend does."""
        return self.backend.write(artifact, weights, folder)

    def trainer(self, graph: Graph, weights: Weights, settings: TrainerSettings) -> Trainer:
        """Of the rewritten graph, which has the weights of the graph.

        Raises:
            BackendError: the level is `inference`.
        """
        return self.backend.trainer(self._in_training(graph), weights, settings)

    def _in_training(self, graph: Graph) -> Graph:
        if self.level == "inference":
            raise BackendError(f"{graph.name} is optimized for inference, and cannot be trained", HINT)
        return self.optimize(graph).graph

    def with_options(self, **options: object) -> Backend:
        """The backend with these options, at the same level."""
        return OptimizedBackend(self.backend.with_options(**options), self.level)

    def open(self, path: Path) -> SavedModel:
        """As the backend does."""
        return self.backend.open(path)

    def read_weights(self, path: Path, under: str = "") -> ForeignWeights:
        """As the backend does."""
        return self.backend.read_weights(path, under)


def at_level(backend: Backend, level: Level) -> Backend:
    """The backend at a level of optimization; `none` is the backend itself."""
    return backend if level == "none" else OptimizedBackend(backend, level)
