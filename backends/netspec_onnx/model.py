"""A model loaded into onnxruntime: canonical arrays in, canonical arrays out; the layout of ONNX is canonical."""

from __future__ import annotations

from collections.abc import Mapping

import onnxruntime
from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented as NoKernel

from netspec.errors import BackendError
from netspec.lowering import Artifact, Gradients, Model
from netspec.lowering.backend import inputs_of, named
from netspec.ops.base import Array, Weights
from netspec_onnx.initializers import external_tensors, with_initializers

PROVIDERS = ["CPUExecutionProvider"]
FATAL = 4


def session_options() -> onnxruntime.SessionOptions:
    """Default options, without messages on stderr that repeat the exceptions."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = FATAL
    return options


class OnnxModel(Model):
    """A session whose initializers share the memory of this object's arrays.

    Raises:
        WeightsError: the weights are not the graph's.
        BackendError: onnxruntime has no kernel for an operator in the graph's dtype.
    """

    def __init__(self, artifact: Artifact, weights: Weights) -> None:
        self.artifact = artifact
        self._arrays = {path: array.copy() for path, array in artifact.to_native(weights).items()}
        content = with_initializers(artifact, external_tensors(self._arrays, "memory"))
        options = session_options()
        values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in self._arrays.values()]
        options.add_external_initializers(list(self._arrays), values)
        try:
            self.native = onnxruntime.InferenceSession(content, options, providers=PROVIDERS)
        except NoKernel as error:
            raise BackendError(
                f"onnxruntime cannot run {artifact.graph.name} in {artifact.graph.dtype}: {error}",
                "its CPU provider has all kernels in float32 only",
            ) from error

    def forward(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs by name."""
        graph = self.artifact.graph
        feeds = named([i.name for i in graph.inputs], inputs_of(graph, inputs))
        return named(graph.outputs, self.native.run(list(graph.outputs), feeds))

    def forward_training(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Raise BackendError: an ONNX model only infers."""
        raise BackendError("the onnx backend has no training mode: onnxruntime infers", "use torch or keras")

    def gradients(self, inputs: Mapping[str, Array], cotangents: Mapping[str, Array]) -> Gradients:
        """Raise BackendError: an ONNX model only infers."""
        raise BackendError("the onnx backend gives no gradients: onnxruntime infers", "use torch or keras")

    def weights(self) -> dict[str, Array]:
        """A copy of every weight by canonical name."""
        return self.artifact.to_canonical(self._arrays)
