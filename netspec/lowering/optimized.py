"""A backend decorator that optimizes each graph before lowering it, usable wherever a backend is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from inspect import get_annotations
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
    """A model of a graph optimized for inference: dropout is removed and running statistics are folded into weights.

    Attributes:
        native: the framework's object.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self.artifact, self.native = model.artifact, model.native

    def forward(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Every output of the graph by name, at inference."""
        return self._model.forward(inputs)

    def forward_training(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Raise BackendError: the graph has no training mode any more."""
        raise BackendError(f"{self.artifact.graph.name} is optimized for inference: no training mode", HINT)

    def gradients(self, inputs: Mapping[str, Array], cotangents: Mapping[str, Array]) -> Gradients:
        """Raise BackendError: the graph's weights are no longer those that are trained."""
        raise BackendError(f"{self.artifact.graph.name} is optimized for inference: no gradients", HINT)

    def weights(self) -> dict[str, Array]:
        """A copy of every weight of the optimized graph, in canonical layout."""
        return self._model.weights()

    def close(self) -> None:
        """Close the model."""
        self._model.close()


class OptimizedBackend(Backend):
    """A backend at an optimization level. It takes graphs as specs describe them, and the weights of those graphs.

    Args:
        backend: the backend that lowers the optimized graphs.
        level: `training` or `inference`; at `inference` its models have no gradients.
    """

    def __init__(self, backend: Backend, level: Level) -> None:
        self.backend, self.level = backend, level
        for attribute in get_annotations(Backend):  # all that it states holds for optimized graphs too
            setattr(self, attribute, getattr(backend, attribute))
        self.trains = backend.trains and level != "inference"

    def optimize(self, graph: Graph, *without: str) -> Optimized:
        """Run the passes of the level, except those that are costly for this backend and those in `without`."""
        return optimize(graph, self.level, {*self.costly_passes, *without})

    def lower(self, graph: Graph) -> Artifact:
        """Lower the optimized graph."""
        optimized = self.optimize(graph)
        return replace(self.backend.lower(optimized.graph), optimized=optimized)

    def lower_nodes(self, graph: Graph) -> tuple[Artifact, dict[str, str]]:
        """Lower the optimized graph with every node as an output whose value `graph` has too, and the names there."""
        optimized = self.optimize(graph, "in-place")  # an output must not be overwritten
        plain_names = optimized.plain_values()
        artifact = self.backend.lower(optimized.graph.with_outputs(plain_names))
        return replace(artifact, optimized=optimized), plain_names

    def load(self, artifact: Artifact, weights: Weights, *, donated: bool = False) -> Model:
        """Load an artifact; a model of a graph for inference has no gradients."""
        model = self.backend.load(artifact, weights, donated=donated)
        return InferenceModel(model) if artifact.graph.inference else model

    def load_tower(self, graph: Graph, weights: Weights, settings: TowerSettings) -> Model:
        """Load one tower of the optimized graph, whose weights are those of `graph`.

        Raises:
            BackendError: the level is `inference`.
        """
        return self.backend.load_tower(self._optimized_for_training(graph), weights, settings)

    def write(self, artifact: Artifact, weights: Weights, folder: Path) -> list[Path]:
        """Write the files of an artifact."""
        return self.backend.write(artifact, weights, folder)

    def trainer(self, graph: Graph, weights: Weights, settings: TrainerSettings) -> Trainer:
        """Create a trainer of the optimized graph, whose weights are those of `graph`.

        Raises:
            BackendError: the level is `inference`.
        """
        return self.backend.trainer(self._optimized_for_training(graph), weights, settings)

    def _optimized_for_training(self, graph: Graph) -> Graph:
        if self.level == "inference":
            raise BackendError(f"{graph.name} is optimized for inference, and cannot be trained", HINT)
        return self.optimize(graph).graph

    def with_options(self, **options: object) -> Backend:
        """The backend with these options, at the same optimization level."""
        return OptimizedBackend(self.backend.with_options(**options), self.level)

    def open(self, path: Path) -> SavedModel:
        """Open a model that `write` wrote."""
        return self.backend.open(path)

    def read_weights(self, path: Path, under: str = "") -> ForeignWeights:
        """Read a weights file of the framework."""
        return self.backend.read_weights(path, under)


def at_level(backend: Backend, level: Level) -> Backend:
    """The backend at an optimization level; at `none`, the backend itself."""
    return backend if level == "none" else OptimizedBackend(backend, level)
