"""The Python API: `load` reads a spec, and `Network` initializes, lowers, builds, trains and verifies it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from netspec.graph import Graph
from netspec.lowering import Artifact, Backend, Model, at_level, backend_names, find_backend
from netspec.ops.base import Weights
from netspec.passes import Level
from netspec.spec import ModelSpec, elaborate, read_spec
from netspec.training.adversarial import opponent_of
from netspec.training.events import Observer, Observers
from netspec.training.options import TrainOptions
from netspec.training.run import train
from netspec.training.session import Outcome
from netspec.verify import Report, verify
from netspec.verify import compare as verification
from netspec.weights import CanonicalWeights, initialize, load_weights


@dataclass(frozen=True)
class Network:
    """A network described by a spec. Create one with `netspec.load`.

    Attributes:
        spec: the validated spec.
        graph: the graph elaborated from the spec.
    """

    spec: ModelSpec
    graph: Graph

    @cached_property
    def name(self) -> str:
        """The spec's name."""
        return self.graph.name

    def initialize(self, seed: int = 0) -> CanonicalWeights:
        """Draw weights from the spec's initializers, as float32 in canonical layout: the same for every backend."""
        return initialize(self.graph, seed)

    def load_weights(self, path: str | Path) -> CanonicalWeights:
        """Read canonical weights from a safetensors file.

        Raises:
            WeightsError: the file is unreadable, or its names or shapes are not this network's.
        """
        return load_weights(Path(path), self.graph)

    def lower(self, backend: str | Backend, *, optimize: Level = "none") -> Artifact:
        """Lower the graph for a backend: `artifact.content` is the emitted source. No framework is imported."""
        return at_level(_backend(backend), optimize).lower(self.graph)

    def build(
        self,
        backend: str | Backend,
        weights: Weights | str | Path | None = None,
        *,
        optimize: Level | None = None,
        compile: bool = False,  # named as on the command line
        batch_size: int | None = None,
        seed: int = 0,
    ) -> Model:
        """Build the model in memory; `model.native` is the framework's object.

        Args:
            backend: `torch`, `keras`, `onnx`, or another installed backend.
            weights: canonical arrays, or the path of a safetensors file. By default they are drawn from `seed`.
            optimize: the optimization level: `none`, `training`, or `inference` for a model that cannot be trained.
            compile: compile the model for this machine, where the backend can. The default of `optimize` is then
                `inference`, else `none`.
            batch_size: number of samples that the compiled model takes at once, which makes it faster; by default it
                takes any number.
            seed: seed of the initial weights.

        Raises:
            BackendError: the backend is unknown, its framework is not installed, or it cannot compile.
            WeightsError: the weights are not this network's.
        """
        chosen = _backend(backend)
        compilation: dict[str, object] = {"compile": True} if compile else {}
        if batch_size is not None:
            compilation["batch_size"] = batch_size
        chosen = chosen.with_options(**compilation)
        target = at_level(chosen, optimize or ("inference" if compile else "none"))
        target.require()
        donated = weights is None or isinstance(weights, str | Path)  # created here, so the model may keep them
        if weights is None:
            weights = self.initialize(seed)
        elif isinstance(weights, str | Path):
            weights = self.load_weights(weights)
        return target.load(target.lower(self.graph), weights, donated=donated)

    def train(
        self,
        backend: str | Backend = "torch",
        options: TrainOptions | None = None,
        observer: Observer | None = None,
    ) -> Outcome:
        """Train by the spec's recipe, as `netspec train` does. All files are written to `outcome.folder`.

        Args:
            backend: `torch`, `keras`, or another backend that trains.
            options: data, folder, device, `resume=True` and so on. By default it trains on the scanned digits.
            observer: notified of every step and epoch.

        Raises:
            NetspecError: the spec has no recipe, the data do not fit the network, or the loss diverged.
        """
        return train(self.spec, _backend(backend), options or TrainOptions(), observer or Observers())

    def verify(
        self,
        backends: str | Backend | Sequence[str | Backend] | None = None,
        level: verification.Level | None = None,
        *,
        weights: Weights | str | Path | None = None,
        optimize: Level = "none",
        deep: bool = False,
        seed: int = 0,
    ) -> Report:
        """Check that the backends compute the same function; `report.require()` raises if they do not.

        Args:
            backends: names or backends, or a single one; by default all that are registered.
            level: `forward` compares outputs; `gradient` also compares gradients; `training` also compares twenty
                optimizer steps, by the paper's rule and by the spec's. The default is `gradient` if two of the backends
                train, else `forward`.
            weights: canonical arrays or a safetensors file to check with, instead of random He-scaled weights.
            optimize: the optimization level at which the backends lower the network.
            deep: also compare the value of every node, each of which has to pass.
            seed: seed of the random weights and inputs.

        Raises:
            BackendError: a backend is unknown, its framework is not installed, or none supports the comparison.
            NetspecError: the level is `training`, but the network has several inputs or outputs, or no logits.
            WeightsError: the weights are not this network's.
        """
        chosen = backend_names() if backends is None else backends
        each = [chosen] if isinstance(chosen, str | Backend) else chosen
        targets = [at_level(_backend(b), optimize) for b in each]
        arrays = self.load_weights(weights) if isinstance(weights, str | Path) else weights
        return verify(
            self.graph,
            targets,
            level,
            weights=arrays,
            recipe=self.spec.training,
            deep=deep,
            seed=seed,
            opponent=opponent_of(self.spec) if level == "training" else None,
        )


def load(path: str | Path, set: Mapping[str, object] | None = None) -> Network:  # named as on the command line
    """Read, validate and elaborate a spec.

    Args:
        path: a YAML file.
        set: overrides of parameters and dotted training settings, such as `{"classes": 10}`.

    Raises:
        SpecError: the spec has errors; the exception holds every diagnostic.
    """
    spec = read_spec(Path(path), set or {})
    return Network(spec, elaborate(spec))


def _backend(backend: str | Backend) -> Backend:
    return find_backend(backend) if isinstance(backend, str) else backend
