"""The backend object: it lowers without importing Keras, and imports it to load."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import MappingProxyType

import netspec_keras.activation
import netspec_keras.arithmetic
import netspec_keras.attention
import netspec_keras.attention_bias
import netspec_keras.convolution
import netspec_keras.dropout
import netspec_keras.linear
import netspec_keras.merge
import netspec_keras.normalization
import netspec_keras.parameter
import netspec_keras.pooling
import netspec_keras.reduction
import netspec_keras.resize
import netspec_keras.shape
import netspec_keras.transposed_convolution  # noqa: F401 # each module fills the table
from netspec.errors import BackendError
from netspec.files import write_whole
from netspec.graph import Graph
from netspec.lowering import Artifact, Backend, ForeignWeights, Model, Trainer, TrainerSettings
from netspec.lowering.environment import environment
from netspec.lowering.foreign import under_part
from netspec.ops.base import Weights
from netspec.types import DType
from netspec_keras.table import TABLE
from netspec_keras.writer import ModelWriter


def configured_engine() -> str:
    """The framework under Keras: KERAS_BACKEND, or `backend` in Keras' configuration file, or TensorFlow.

    Keras reads the same variable and file once, when it is imported.
    """
    if engine := os.environ.get("KERAS_BACKEND"):
        return engine
    try:
        config = json.loads((_keras_home() / "keras.json").read_text())
    except (OSError, RuntimeError, ValueError):  # no file, no home directory, no JSON
        return "tensorflow"
    return str(config.get("backend", "tensorflow")) if isinstance(config, dict) else "tensorflow"


def _keras_home() -> Path:
    """The folder of Keras' configuration file."""
    if "KERAS_HOME" in os.environ:
        return Path(os.environ["KERAS_HOME"]).expanduser()
    home = Path.home()
    return home / ".keras" if os.access(home, os.W_OK) else Path("/tmp/.keras")  # noqa: S108 # as Keras does


ENGINE = configured_engine()


class KerasBackend(Backend):
    """Lowers a graph to the source of a function that builds a `keras.Model`, and loads it on KERAS_BACKEND."""

    name = "keras"
    requires = MappingProxyType({"keras": "keras", ENGINE: ENGINE})
    # On PyTorch and JAX, the type promotion of Keras turns float64 into float32.
    dtypes = frozenset({DType.FLOAT32, DType.FLOAT64} if ENGINE == "tensorflow" else {DType.FLOAT32})
    trains = True
    lowerings = TABLE
    extra = "keras"
    weight_suffixes = (".h5", ".hdf5", ".keras")
    costly_passes = MappingProxyType(
        {
            "in-place": "a functional model has no operations in place",
            "channels-last": "the emitted model is always channels last",
        }
    )

    def lower(self, graph: Graph) -> Artifact:
        """Python source whose main function builds a model that takes and returns maps in (N, H, W, C)."""
        out = ModelWriter(graph)
        TABLE.lower(graph, out)
        return out.artifact()

    def load(self, artifact: Artifact, weights: Weights, *, donated: bool = False) -> Model:
        """The model that the emitted function builds."""
        del donated  # Keras always copies the arrays
        self.require()
        dtype = artifact.graph.dtype
        if dtype not in self.dtypes:
            raise BackendError(f"keras on {ENGINE} does not compute in {dtype}", "set KERAS_BACKEND to tensorflow")
        from netspec_keras.model import KerasModel

        return KerasModel(artifact, weights)

    def write(self, artifact: Artifact, weights: Weights, folder: Path) -> list[Path]:
        """Write `NAME.py`, and `NAME.keras` with the weights, which can be loaded once `NAME.py` is imported."""
        model = self.load(artifact, weights)
        source = artifact.write_source(folder)
        return [source, write_whole(source.with_suffix(".keras"), model.native.save)]

    def trainer(self, graph: Graph, weights: Weights, settings: TrainerSettings) -> Trainer:
        """A trainer of the model that the emitted function builds, on TensorFlow and on one device."""
        if ENGINE != "tensorflow":
            raise BackendError(
                f"keras trains on TensorFlow, and is set to {ENGINE}",
                "set KERAS_BACKEND to tensorflow, or --backend torch",
            )
        if (world := environment("WORLD_SIZE", 1, least=1)) != 1:
            raise BackendError(
                f"keras trains on one device, in one process, but WORLD_SIZE is {world}",
                "run it without torchrun, or --backend torch, which trains on several",
            )
        self.require()
        from netspec_keras.trainer import KerasTrainer

        return KerasTrainer(self.lower(graph), weights, settings)

    def read_weights(self, path: Path, under: str = "") -> ForeignWeights:
        """The weights in a file of Keras 1, 2 or 3; imports h5py but not Keras. See `netspec_keras.foreign`."""
        from netspec_keras.foreign import read_layers

        return under_part(path, read_layers(path), under)
