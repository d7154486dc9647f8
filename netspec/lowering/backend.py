"""What a backend is, and what its loaded models can do, in any framework."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from netspec.errors import BackendError, UnsupportedError
from netspec.graph import Graph, Node, Preprocessing
from netspec.lowering.artifact import Artifact
from netspec.lowering.foreign import ForeignWeights
from netspec.lowering.trainer import TowerSettings, Trainer, TrainerSettings
from netspec.ops.base import Array, Op, Weights
from netspec.types import DType


@dataclass(frozen=True, slots=True)
class Gradients:
    """Derivatives of Σ outputs · cotangents: by canonical weight name, and by input, in canonical layout."""

    weights: dict[str, Array]
    inputs: dict[str, Array]


class Model(ABC):
    """An artifact loaded into its framework. Arrays go in and come out in canonical (N, C, H, W) layout.

    Attributes:
        artifact: what it was loaded from.
        native: the framework's own object: an nn.Module, a keras.Model, an InferenceSession.
    """

    artifact: Artifact
    native: Any

    @abstractmethod
    def forward(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Every output of the graph by name, at inference. Inputs are cast to the graph's dtype."""

    @abstractmethod
    def forward_training(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Every output of the graph by name, in training mode: dropout drops, running statistics move.

        Raises:
            BackendError: a backend that only infers.
        """

    @abstractmethod
    def gradients(self, inputs: Mapping[str, Array], cotangents: Mapping[str, Array]) -> Gradients:
        """Derivatives at inference of Σ outputs · cotangents, for every trainable weight and every input.

        Raises:
            BackendError: a backend that only infers.
        """

    @abstractmethod
    def weights(self) -> dict[str, Array]:
        """A copy of every weight by canonical name, in canonical layout."""

    def close(self) -> None:  # noqa: B027 # most have nothing to leave
        """Leave the group of processes that have the network together, if there is one."""


class SavedModel(ABC):
    """A model that a backend wrote, opened again without its spec, to be run on photographs.

    Attributes:
        name: the spec's name.
        input_shape: the axes of its one input after the batch.
        output_shapes: those of each output, by name.
        preprocessing: how a photograph becomes that input; None when the spec does not say.
    """

    name: str
    input_shape: tuple[int, ...]
    output_shapes: Mapping[str, tuple[int, ...]]
    preprocessing: Preprocessing | None

    @abstractmethod
    def __call__(self, batch: Array) -> dict[str, Array]:
        """Every output by name, for a batch of the input."""


OpT = TypeVar("OpT", bound=Op)
Out = TypeVar("Out")
Lowering = Callable[[Any, Node, Any], None]  # (op, node, out); `out` is the backend's own writer


class Lowerings:
    """A backend's table from op to lowering, filled by the decorator `lowers`, with what it does not support.

    >>> from netspec.ops import Relu
    >>> table = Lowerings("example")
    >>> @table.lowers(Relu)
    ... def relu(op, node, out):
    ...     out.append(node.name)
    >>> table.find(Relu) is relu
    True
    """

    def __init__(self, backend: str, unsupported: Mapping[type[Op], str] | None = None) -> None:
        self.backend = backend
        self.unsupported = dict(unsupported or {})
        self._table: dict[type[Op], Lowering] = {}

    def lowers(self, *ops: type[OpT]) -> Callable[[Callable[[OpT, Node, Out], None]], Callable[[OpT, Node, Out], None]]:
        """Decorate the function that lowers these ops: `(op, node, out) -> None`, where op is the node's."""

        def register(lowering: Callable[[OpT, Node, Out], None]) -> Callable[[OpT, Node, Out], None]:
            for op in ops:
                if op in self._table:
                    raise BackendError(f"{self.backend}: {op.kind} is lowered twice")
                self._table[op] = lowering
            return lowering

        return register

    def find(self, op: type[Op]) -> Lowering:
        """The lowering of an op.

        Raises:
            UnsupportedError: there is none, with the stated reason.
        """
        if op in self._table:
            return self._table[op]
        reason = self.unsupported.get(op, "it has no lowering for it")
        raise UnsupportedError(f"the {self.backend} backend does not support {op.kind}: {reason}")

    @property
    def supported(self) -> frozenset[type[Op]]:
        """The ops that have a lowering."""
        return frozenset(self._table)


class Backend(ABC):
    """A target of the compiler. One instance is registered under the entry point group `netspec.backends`.

    Attributes:
        name: what `--backend` takes.
        requires: distributions that `load` imports, by import name; `lower` imports none of them.
        dtypes: element types in which its models compute all the ops.
        trains: whether models give gradients and have a training mode.
        lowerings: the table from op to lowering.
        in_towers: whether it computes and trains a network that is divided among several devices.
        costly_passes: passes of `netspec.passes` that gain nothing here, or cost more than they save, and why.
        weight_suffixes: of the weights files of its framework, which `read_weights` reads.
    """

    name: str
    requires: Mapping[str, str]  # import name → distribution name
    dtypes: frozenset[DType]
    trains: bool
    lowerings: Lowerings
    in_towers: bool = False
    costly_passes: Mapping[str, str] = MappingProxyType({})
    weight_suffixes: tuple[str, ...] = ()

    @abstractmethod
    def lower(self, graph: Graph) -> Artifact:
        """The artifact of a graph. Raises UnsupportedError for an op that the backend cannot express."""

    def lower_nodes(self, graph: Graph) -> tuple[Artifact, dict[str, str]]:
        """An artifact whose outputs are all its nodes, and for each the name of the graph's value that it equals."""
        names = [node.name for node in graph.nodes]
        return self.lower(graph.with_outputs(names)), dict(zip(names, names, strict=True))

    @abstractmethod
    def load(self, artifact: Artifact, weights: Weights, *, donated: bool = False) -> Model:
        """The artifact as a model of the framework, in the graph's dtype, with these canonical weights.

        Args:
            artifact: that this backend made.
            weights: canonical arrays.
            donated: whether the model may keep the arrays without a copy, because nobody else uses them any more.

        Raises:
            BackendError: the framework is not installed.
            WeightsError: a weight is missing, unexpected or of another shape.
        """

    def load_tower(self, graph: Graph, weights: Weights, settings: TowerSettings) -> Model:
        """A network of which this process is to be one tower: arrays go in and come out whole, in each of them.

        Args:
            graph: the whole network.
            weights: canonical arrays of the whole network.
            settings: how many towers, and where they meet.

        Raises:
            BackendError: it has no towers, its framework is not installed, or the others are not there.
            GraphError: the network cannot be divided.
        """
        del graph, weights, settings
        raise BackendError(f"the {self.name} backend has no network in towers", "use torch")

    @abstractmethod
    def write(self, artifact: Artifact, weights: Weights, folder: Path) -> list[Path]:
        """Write the files for the user, except the canonical weights; returns their paths."""

    def trainer(self, graph: Graph, weights: Weights, settings: TrainerSettings) -> Trainer:
        """The emitted model of a graph with the recipe's loss and optimizer.

        Args:
            graph: one input, and the logits (N, classes) as its one output.
            weights: canonical arrays to begin with.
            settings: recipe, normalization, device and precision.

        Raises:
            BackendError: it only infers, its framework is not installed, or the device or precision is not there.
        """
        del graph, weights, settings
        raise BackendError(f"the {self.name} backend does not train", "use torch or keras")

    def with_options(self, **options: object) -> Backend:
        """This backend with options of its own set, as `--opset` sets one of ONNX.

        Raises:
            BackendError: the backend has no such option, or it cannot have this value.
        """
        for option in options:
            raise BackendError(f"the {self.name} backend has no option {option!r}")
        return self

    def open(self, path: Path) -> SavedModel:
        """A model that `write` wrote, where it needs no spec to run.

        Raises:
            BackendError: the file is not one, or the backend's models cannot be run alone.
        """
        raise BackendError(f"the {self.name} backend cannot run {path}", "`netspec run` takes a .onnx model")

    def read_weights(self, path: Path, under: str = "") -> ForeignWeights:
        """The arrays of a weights file of the framework, whoever wrote it. Nothing that is in the file is executed.

        Args:
            path: a regular file whose name ends in one of `weight_suffixes`.
            under: the key of the weights to read, `model.ema`, in a file that may hold several, or what the names of
                those to read begin with; without it those of a file that holds one.

        Raises:
            BackendError: what reads it is not installed, or the backend reads no such files.
            WeightsError: the file is damaged, holds no weights, none under that key or several, or holds what could
                only be read by running code.
        """
        raise BackendError(f"the {self.name} backend reads no weights of other programs: {path}")

    def missing(self) -> list[str]:
        """Distributions that `load` needs and that are not installed."""
        return [
            distribution for module, distribution in self.requires.items() if importlib.util.find_spec(module) is None
        ]

    def versions(self) -> dict[str, str]:
        """Installed versions of the distributions that `load` needs; `unknown` where another one gives the module."""
        missing = self.missing()
        return {d: _version(d) for d in self.requires.values() if d not in missing}

    def require(self) -> None:
        """BackendError, naming the extra to install, unless the framework is there."""
        if missing := self.missing():
            raise BackendError(
                f"the {self.name} backend needs {', '.join(missing)}, not installed here",
                f"pip install 'netspec[{self.name}]'",
            )


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:  # tensorflow-cpu has the module tensorflow
        return "unknown"


def inputs_of(graph: Graph, inputs: Mapping[str, Array]) -> list[Array]:
    """The arrays in the order of the graph's inputs, cast to its dtype.

    Raises:
        BackendError: a name is missing or unknown, or a shape is not the input's at one common batch.
    """
    expected = [i.name for i in graph.inputs]
    if sorted(inputs) != sorted(expected):
        raise BackendError(f"expected the inputs {', '.join(expected)}, received {', '.join(inputs) or 'none'}")
    arrays = [inputs[name].astype(graph.dtype.numpy, copy=False) for name in expected]
    for value, array in zip(graph.inputs, arrays, strict=True):
        if array.shape[1:] != value.type.features or len(array) != len(arrays[0]):
            raise BackendError(f"input {value.name}: expected {value.type}, received {array.shape}")
    return arrays


def cotangents_of(graph: Graph, cotangents: Mapping[str, Array]) -> list[Array]:
    """The arrays in the order of the outputs of inference, cast to the graph's dtype.

    Raises:
        BackendError: a name is missing or unknown.
    """
    if sorted(cotangents) != sorted(graph.main):
        received = ", ".join(cotangents) or "none"
        raise BackendError(f"expected cotangents of {', '.join(graph.main)}, received {received}")
    return [cotangents[name].astype(graph.dtype.numpy, copy=False) for name in graph.main]


def named(names: Sequence[str], arrays: Sequence[Array]) -> dict[str, Array]:
    """Arrays by name."""
    return dict(zip(names, arrays, strict=True))
