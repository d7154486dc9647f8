"""Running a `.onnx` file that netspec wrote, without its spec: the metadata has the preprocessing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as state
from pydantic import ValidationError

from netspec.errors import BackendError
from netspec.graph import Preprocessing
from netspec.lowering import SavedModel
from netspec.ops.base import Array
from netspec_onnx.model import PROVIDERS, session_options
from netspec_onnx.writer import METADATA_NAME, METADATA_PREPROCESSING

SUFFIX = ".onnx"
EXPECTED = "name a .onnx file, or the .yaml of a spec"
ELEMENTS = {"tensor(float)": np.float32, "tensor(double)": np.float64}
# The errors that onnxruntime raises for a file that it cannot load; they have no common base class.
LOAD_ERRORS = (
    state.EPFail,
    state.Fail,
    state.InvalidGraph,
    state.NoSuchFile,
    state.NotImplemented,
    state.RuntimeException,
)


class OnnxFile(SavedModel):
    """A session on a file, with its preprocessing.

    Args:
        path: a `.onnx` file; its data file, if it has one, is found by the name in the model.

    Raises:
        BackendError: the file does not exist, is not ONNX, damaged, without its data file or not written by netspec, or
            the model has more than one input.
    """

    def __init__(self, path: Path) -> None:
        self._session = open_session(path)
        metadata = self._session.get_modelmeta().custom_metadata_map
        if METADATA_NAME not in metadata:
            raise BackendError(
                f"{path} was not written by netspec: it does not say how an image becomes its input",
                "build one with `netspec build SPEC --backend onnx`",
            )
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            names = ", ".join(value.name for value in inputs)
            raise BackendError(f"{path} has {len(inputs)} inputs ({names}); only models of one input can be run")
        self.name = metadata[METADATA_NAME]
        self.input_shape = tuple(inputs[0].shape[1:])
        self.preprocessing = read_preprocessing(path, metadata.get(METADATA_PREPROCESSING, ""), inputs[0].name)
        self._input = inputs[0].name
        self._element = ELEMENTS[inputs[0].type]
        self.output_shapes = {value.name: tuple(value.shape[1:]) for value in self._session.get_outputs()}

    def __call__(self, batch: Array) -> dict[str, Array]:
        """Every output by name, for a batch of the input in (N, C, H, W)."""
        if batch.shape[1:] != self.input_shape:
            expected = ", ".join(["N", *map(str, self.input_shape)])
            raise BackendError(f"{self.name}: expected an input of shape ({expected}), received {batch.shape}")
        if not len(batch):
            raise BackendError(f"{self.name}: expected one sample or more, received none, {batch.shape}")
        results = self._session.run([*self.output_shapes], {self._input: batch.astype(self._element, copy=False)})
        return dict(zip(self.output_shapes, results, strict=True))


def open_session(path: Path) -> onnxruntime.InferenceSession:
    """Open a session on a file.

    Raises:
        BackendError: the file does not exist, or cannot be loaded.
    """
    if not path.is_file():
        what = "is a directory" if path.is_dir() else "there is no such file"
        raise BackendError(f"{path}: {what}", EXPECTED)
    try:
        return onnxruntime.InferenceSession(path, session_options(), providers=PROVIDERS)
    except (state.InvalidProtobuf, state.InvalidArgument) as error:
        hint = "build it again" if path.suffix == SUFFIX else EXPECTED
        raise BackendError(f"{path} is not an ONNX model, or is damaged", hint) from error
    except LOAD_ERRORS as error:
        raise BackendError(
            f"onnxruntime cannot load {path}: {' '.join(str(error).split())}",
            f"a model beyond 2 GB is two files: keep {path.name}.data beside it; or build it again",
        ) from error


def read_preprocessing(path: Path, text: str, name: str) -> Preprocessing | None:
    """Parse the preprocessing of an input from the metadata.

    Raises:
        BackendError: the metadata is damaged.
    """
    try:
        fields = json.loads(text)[name]
        return None if fields is None else Preprocessing.model_validate(fields)
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise BackendError(f"{path}: its preprocessing metadata is damaged", "build it again") from error
