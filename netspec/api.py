"""The Python interface: a network loaded from its spec, and what can be done with it."""

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
from netspec.training.events import Observer, Observers
from netspec.training.options import TrainOptions
from netspec.training.run import train
from netspec.training.session import Outcome
from netspec.verify import Report, verify
from netspec.verify import compare as verification
from netspec.weights import CanonicalWeights, initialize, load_weights


@dataclass(frozen=True)
class Network:
    """A network as its spec describes it. Made by `netspec.load`.

    Attributes:
        spec: the validated spec.
        graph: what it computes.
    """

    spec: ModelSpec
    graph: Graph

    @cached_property
    def name(self) -> str:
        """The spec's name."""
        return self.graph.name

    def initialize(self, seed: int = 0) -> CanonicalWeights:
        """Weights as the spec's initializers say, float32, canonical layout: the same for every backend."""
        return initialize(self.graph, seed)

    def load_weights(self, path: str | Path) -> CanonicalWeights:
        """Canonical weights from a safetensors file. Raises WeightsError where they are not this network's."""
        return load_weights(Path(path), self.graph)

    def lower(self, backend: str | Backend, *, optimize: Level = "none") -> Artifact:
        """The artifact for a backend: `artifact.content` is the emitted source. No framework is imported."""
        return at_level(_backend(backend), optimize).lower(self.graph)

    def build(
        self,
        backend: str | Backend,
        weights: Weights | str | Path | None = None,
        *,
        optimize: Level | None = None,
        compile: bool = False,  # as on the command line
        seed: int = 0,
    ) -> Model:
        """A model in memory; `model.native` is the framework's own object.

        Args:
            backend: `torch`, `keras`, `onnx`, or another that is installed.
            weights: canonical arrays, or a safetensors file; drawn from `seed` when left out.
            optimize: passes over the graph: `none`, `training`, or `inference`, after which the model only infers.
            compile: compile the model for this machine, where the backend can; `optimize` is then `inference` unless
                it is given.
            seed: of the initial weights.

        Raises:
            BackendError: the backend is unknown or its framework not installed, or it compiles nothing.
            WeightsError: the weights are not this network's.
        """
        chosen = _backend(backend)
        chosen = chosen.with_options(compile=True) if compile else chosen
        target = at_level(chosen, optimize or ("inference" if compile else "none"))
        target.require()
        own = weights is None or isinstance(weights, str | Path)  # made here, and so the model's to keep
        if weights is None:
            weights = self.initialize(seed)
        elif isinstance(weights, str | Path):
            weights = self.load_weights(weights)
        return target.load(target.lower(self.graph), weights, donated=own)

    def train(
        self,
        backend: str | Backend = "torch",
        options: TrainOptions | None = None,
        observer: Observer | None = None,
    ) -> Outcome:
        """Train by the spec's recipe, as `netspec train` does; everything is left in `outcome.folder`.

        Args:
            backend: `torch`, `keras`, or another that trains.
            options: data, folder, device, `resume=True`; the scanned digits when left out.
            observer: notified of every step and epoch.

        Raises:
            NetspecError: the spec has no recipe, the data do not fit it, or the loss diverged.
        """
        return train(self.spec, _backend(backend), options or TrainOptions(), observer or Observers())

    def verify(
        self,
        backends: Sequence[str | Backend] | None = None,
        level: verification.Level | None = None,
        *,
        weights: Weights | str | Path | None = None,
        optimize: Level = "none",
        deep: bool = False,
        seed: int = 0,
    ) -> Report:
        """The proof that the backends are one function; `report.require()` raises where they are not.

        Args:
            backends: names or backends; all that are registered when left out.
            level: `forward`; `gradient` for both; `training` for all three, twenty optimizer steps by the paper's rule
                and by the spec's own; left out, gradients where two backends train.
            weights: canonical arrays or a safetensors file to check with, instead of He-scaled ones.
            optimize: compare what the backends make of the network at this level of optimization.
            deep: compare every node's value too; then each has to pass.
            seed: of the weights and inputs of the check.

        Raises:
            BackendError: a backend is unknown or its framework not installed, or none does what is to be compared.
            NetspecError: the level is `training`, and the network has several inputs, or not logits as its one output.
            WeightsError: the weights are not this network's.
        """
        targets = [at_level(_backend(b), optimize) for b in (backend_names() if backends is None else backends)]
        arrays = self.load_weights(weights) if isinstance(weights, str | Path) else weights
        return verify(self.graph, targets, level, weights=arrays, recipe=self.spec.training, deep=deep, seed=seed)


def load(path: str | Path, set: Mapping[str, object] | None = None) -> Network:  # as on the command line
    """Read, validate and elaborate a spec.

    Args:
        path: a YAML file.
        set: parameters and dotted training settings to override, `{"classes": 10}`.

    Raises:
        SpecError: with every diagnostic of the file.
    """
    spec = read_spec(Path(path), set or {})
    return Network(spec, elaborate(spec))


def _backend(backend: str | Backend) -> Backend:
    return find_backend(backend) if isinstance(backend, str) else backend
