"""The interface of a backend, and of the models that it loads."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from netspec.errors import BackendError
from netspec.graph import Graph, Preprocessing
from netspec.lowering.artifact import Artifact
from netspec.lowering.foreign import ForeignWeights
from netspec.lowering.lowerings import Lowerings
from netspec.lowering.trainer import TowerSettings, Trainer, TrainerSettings
from netspec.ops.base import Array, Weights
from netspec.types import DType


@dataclass(frozen=True, slots=True)
class Gradients:
    """Derivatives of Σ outputs · cotangents with respect to weights and inputs, by name, in canonical layout."""

    weights: dict[str, Array]
    inputs: dict[str, Array]


class Model(ABC):
    """An artifact loaded into its framework. It takes and returns arrays in canonical (N, C, H, W) layout.

    Attributes:
        artifact: the artifact that it was loaded from.
        native: the framework's object: an nn.Module, a keras.Model, an InferenceSession.
    """

    artifact: Artifact
    native: Any

    @abstractmethod
    def forward(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Every output of the graph by name, at inference. Inputs are cast to the graph's dtype."""

    @abstractmethod
    def forward_training(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Every output of the graph by name, in training mode: dropout drops, running statistics are updated.

        Raises:
            BackendError: the backend only does inference.
        """

    @abstractmethod
    def gradients(self, inputs: Mapping[str, Array], cotangents: Mapping[str, Array]) -> Gradients:
        """Derivatives of Σ outputs · cotangents in inference mode, for every trainable weight and every input.

        Raises:
            BackendError: the backend only does inference.
        """

    @abstractmethod
    def weights(self) -> dict[str, Array]:
        """A copy of every weight by canonical name, in canonical layout."""

    def close(self) -> None:  # noqa: B027 # most models have no group
        """Leave the process group over which the network is divided, if there is one."""


class SavedModel(ABC):
    """A model that a backend wrote, opened again without its spec, to be run on photographs.

    Attributes:
        name: the spec's name.
        input_shape: the shape of its one input, without the batch axis.
        output_shapes: the shape of each output by name, without the batch axis.
        preprocessing: how a photograph is converted to the input; None if the spec does not say.
    """

    name: str
    input_shape: tuple[int, ...]
    output_shapes: Mapping[str, tuple[int, ...]]
    preprocessing: Preprocessing | None

    @abstractmethod
    def __call__(self, batch: Array) -> dict[str, Array]:
        """Every output by name, for a batch of inputs."""


class Backend(ABC):
    """A target of the compiler. One instance is registered in the entry point group `netspec.backends`.

    Attributes:
        name: the value of `--backend`.
        requires: the distributions that `load` imports, by import name; `lower` imports none of them.
        dtypes: the element types that its models support for all ops.
        trains: whether its models have gradients and a training mode.
        lowerings: the table from op to lowering.
        supports_towers: whether it can run and train a network that is divided among several devices.
        has_state_dict: whether the emitted source takes its weights from a file beside it, by their native paths.
        costly_passes: passes of `netspec.passes` that do not pay off on this backend, each with the reason.
        weight_suffixes: the file name suffixes that `read_weights` accepts.
        extra: the extra of netspec that installs what it requires; empty for a backend of another distribution.
    """

    name: str
    requires: Mapping[str, str]  # import name → distribution name
    dtypes: frozenset[DType]
    trains: bool
    lowerings: Lowerings
    supports_towers: bool = False
    has_state_dict: bool = False
    costly_passes: Mapping[str, str] = MappingProxyType({})
    weight_suffixes: tuple[str, ...] = ()
    extra: str = ""

    @abstractmethod
    def lower(self, graph: Graph) -> Artifact:
        """Lower a graph to an artifact.

        Raises:
            UnsupportedError: the backend does not support an op.
        """

    def lower_nodes(self, graph: Graph) -> tuple[Artifact, dict[str, str]]:
        """Lower a graph with every node as an output; return also the name in `graph` of the value of each output."""
        names = [node.name for node in graph.nodes]
        return self.lower(graph.with_outputs(names)), dict(zip(names, names, strict=True))

    @abstractmethod
    def load(self, artifact: Artifact, weights: Weights, *, donated: bool = False) -> Model:
        """Load an artifact into the framework as a model in the graph's dtype, with these weights.

        Args:
            artifact: an artifact of this backend.
            weights: canonical arrays.
            donated: whether the model may keep the arrays without a copy, because the caller no longer uses them.

        Raises:
            BackendError: the framework is not installed.
            WeightsError: a weight is missing, unexpected or of another shape.
        """

    def load_tower(self, graph: Graph, weights: Weights, settings: TowerSettings) -> Model:
        """Load one tower of a network divided among several processes; every process takes and returns whole arrays.

        Args:
            graph: the whole network.
            weights: canonical arrays of the whole network.
            settings: the number of towers, and how their processes find one another.

        Raises:
            BackendError: the backend has no towers, its framework is not installed, or a process is missing.
            GraphError: the network cannot be divided.
        """
        del graph, weights, settings
        raise BackendError(f"the {self.name} backend has no network in towers", "use torch")

    @abstractmethod
    def write(self, artifact: Artifact, weights: Weights, folder: Path) -> list[Path]:
        """Write the files of an artifact, except the canonical weights, and return their paths."""

    def trainer(self, graph: Graph, weights: Weights, settings: TrainerSettings) -> Trainer:
        """Create a trainer: the emitted model of a graph with the recipe's loss and optimizer.

        Args:
            graph: a graph with one input, and logits (N, classes) as its one output at inference.
            weights: the initial canonical arrays.
            settings: recipe, normalization, device and precision.

        Raises:
            BackendError: the backend does not train, its framework is not installed, or the device or precision is
                not available.
        """
        del graph, weights, settings
        raise BackendError(f"the {self.name} backend does not train", "use torch or keras")

    def with_options(self, **options: object) -> Backend:
        """Return this backend with other options, such as ONNX's `opset`.

        Raises:
            BackendError: the backend has no such option, or the value is invalid.
        """
        for option in options:
            raise BackendError(f"the {self.name} backend has no option {option!r}")
        return self

    def open(self, path: Path) -> SavedModel:
        """Open a model that `write` wrote, if it can run without its spec.

        Raises:
            BackendError: the file is not such a model, or the backend's models cannot run alone.
        """
        raise BackendError(f"the {self.name} backend cannot run {path}", "`netspec run` takes a .onnx model")

    def read_weights(self, path: Path, under: str = "") -> ForeignWeights:
        """Read a weights file of the framework, whichever program wrote it. No code in the file is executed.

        Args:
            path: a regular file whose name ends in one of `weight_suffixes`.
            under: the key of the weights to read, such as `model.ema`, or the prefix of their names. It may be empty
                if the file holds one set of weights.

        Raises:
            BackendError: the backend reads no such files, or a library that reads them is not installed.
            WeightsError: the file is damaged, holds no weights or several sets, has none under that key, or could
                only be read by running code.
        """
        raise BackendError(f"the {self.name} backend reads no weights of other programs: {path}")

    def missing(self) -> list[str]:
        """The distributions that `load` needs and that are not installed."""
        return [
            distribution for module, distribution in self.requires.items() if importlib.util.find_spec(module) is None
        ]

    @property
    def installation(self) -> str:
        """The command that installs what is missing."""
        return f"pip install 'netspec[{self.extra}]'" if self.extra else f"pip install {' '.join(self.missing())}"

    def versions(self) -> dict[str, str]:
        """The versions of the installed distributions that `load` needs; `unknown` if another one has the module."""
        missing = self.missing()
        return {d: _version(d) for d in self.requires.values() if d not in missing}

    def require(self) -> None:
        """Raise BackendError, with the command that installs it, if the framework is not installed."""
        if missing := self.missing():
            raise BackendError(
                f"the {self.name} backend needs {', '.join(missing)}, not installed here",
                self.installation,
            )


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:  # for example, tensorflow-cpu provides the module tensorflow
        return "unknown"


def inputs_of(graph: Graph, inputs: Mapping[str, Array]) -> list[Array]:
    """The arrays in the order of the graph's inputs, cast to its dtype.

    Raises:
        BackendError: a name is missing or unknown, an input holds no numbers, a shape is not the input's, the batch
            sizes differ, or the batch is empty: some frameworks then return an empty output, others fail within the
            network.
    """
    expected = [i.name for i in graph.inputs]
    if not isinstance(inputs, Mapping):
        example = f"{{{expected[0]!r}: array}}"
        raise BackendError(f"expected the inputs by name, {example}, received a value of type {type(inputs).__name__}")
    if sorted(inputs) != sorted(expected):
        raise BackendError(f"expected the inputs {', '.join(expected)}, received {', '.join(inputs) or 'none'}")
    arrays = [_as_numbers(f"input {name}", inputs[name], graph.dtype) for name in expected]
    for value, array in zip(graph.inputs, arrays, strict=True):
        if array.shape[1:] != value.type.features or len(array) != len(arrays[0]):
            raise BackendError(f"input {value.name}: expected {value.type}, received {array.shape}")
        if not len(array):
            raise BackendError(f"input {value.name}: expected one sample or more, received none, {array.shape}")
    return arrays


def _as_numbers(what: str, values: Any, dtype: DType) -> Array:
    """An array of a dtype: of an array, a nested list, or a tensor in main memory.

    Raises:
        BackendError: the values are no real numbers, or rows of different lengths.
    """
    try:
        array = np.asarray(values)
        if array.dtype.kind in "biufV":  # V: bfloat16, which NumPy lacks
            return array.astype(dtype.numpy, copy=False)
    except (TypeError, ValueError, RuntimeError) as error:  # a tensor on a device, or one that requires a gradient
        raise BackendError(f"{what}: not an array: {error}", "give a NumPy array") from error
    raise BackendError(f"{what}: expected real numbers, received {array.dtype}")


def cotangents_of(graph: Graph, cotangents: Mapping[str, Array], batch: int) -> list[Array]:
    """The arrays in the order of the graph's outputs at inference, cast to its dtype.

    Raises:
        BackendError: a name is missing or unknown, or a shape is not the output's for a batch of this size.
    """
    if sorted(cotangents) != sorted(graph.main):
        received = ", ".join(cotangents) or "none"
        raise BackendError(f"expected cotangents of {', '.join(graph.main)}, received {received}")
    arrays = [_as_numbers(f"cotangent of {name}", cotangents[name], graph.dtype) for name in graph.main]
    for name, array in zip(graph.main, arrays, strict=True):
        expected = graph.type_of(name).concrete(batch)
        if array.shape != expected:
            raise BackendError(f"cotangent of {name}: expected {expected}, received {array.shape}")
    return arrays


def named(names: Sequence[str], arrays: Sequence[Array]) -> dict[str, Array]:
    """Arrays by name."""
    return dict(zip(names, arrays, strict=True))
