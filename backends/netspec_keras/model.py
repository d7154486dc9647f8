"""A loaded `keras.Model`: canonical arrays in, canonical arrays out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager

import numpy as np

from netspec.errors import BackendError
from netspec.lowering import Artifact, Gradients, Model
from netspec.lowering.backend import cotangents_of, inputs_of, named
from netspec.lowering.python.module import load_source
from netspec.lowering.python.naming import module_name
from netspec.ops.base import Array, Weights
from netspec_keras.layout import canonical_of, native_of

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # no start-up messages of TensorFlow, but errors

import keras

from netspec_keras.engine import derivatives, precision, run, zeros_for_random_values


class KerasModel(Model):
    """The model that the emitted function builds, in the graph's dtype, with these weights.

    The global dtype policy is changed only while the model is built or run.
    """

    def __init__(self, artifact: Artifact, weights: Weights) -> None:
        self.artifact = artifact
        arrays = artifact.to_native(weights)
        module = load_source(str(artifact.content), module_name(artifact.graph.name))
        with self._precision(), zeros_for_random_values():
            self.native: keras.Model = getattr(module, artifact.entry)()
        self._variables = {
            f"{layer.name}/{variable.name}": variable for layer in self.native.layers for variable in layer.weights
        }
        # A Keras model has no layers that no output needs; their weights are kept as arrays.
        self._unused = {path: array for path, array in arrays.items() if path not in self._variables}
        if unknown := sorted(set(self._variables) - set(arrays)):
            raise BackendError(f"{artifact.entry}: {', '.join(unknown)} of the emitted source have no binding")
        if missing := sorted({path.split("/")[0] for path in self._unused} & {a.name for a in self.native.layers}):
            raise BackendError(f"{artifact.entry}: emitted source and bindings disagree on {', '.join(missing)}")
        for path, variable in self._variables.items():
            variable.assign(arrays[path])

    def forward(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The inference outputs by name, in inference mode."""
        return self._run(inputs, training=False)

    def forward_training(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """All outputs by name, in training mode; dropout masks are drawn from the layers' own seeds."""
        return self._run(inputs, training=True)

    def gradients(self, inputs: Mapping[str, Array], cotangents: Mapping[str, Array]) -> Gradients:
        """Gradients of trainable variables and inputs by the engine's autodiff; see `Model.gradients`."""
        graph = self.artifact.graph
        arrays = [native_of(a) for a in inputs_of(graph, inputs)]
        directions = [native_of(a) for a in cotangents_of(graph, cotangents, len(arrays[0]))]
        with self._precision():
            of_variables, of_inputs = derivatives(self.native, arrays, directions)
        paths = {id(variable): path for path, variable in self._variables.items()}
        native = {paths[id(v)]: a for v, a in zip(self.native.trainable_variables, of_variables, strict=True)}
        native |= {path: np.zeros_like(array) for path, array in self._unused.items()}
        trainable = {name for name, weight in graph.weights.items() if weight.trainable}
        bindings = [b for b in self.artifact.bindings if b.weight in trainable]
        return Gradients(
            weights={b.weight: b.to_canonical(native[b.path]) for b in bindings},
            inputs=named([i.name for i in graph.inputs], [canonical_of(a) for a in of_inputs]),
        )

    def weights(self) -> dict[str, Array]:
        """A copy of every weight by canonical name."""
        arrays = {path: keras.ops.convert_to_numpy(variable) for path, variable in self._variables.items()}
        return self.artifact.to_canonical(arrays | self._unused)

    def _run(self, inputs: Mapping[str, Array], training: bool) -> dict[str, Array]:
        graph = self.artifact.graph
        arrays = [native_of(a) for a in inputs_of(graph, inputs)]
        with self._precision():
            outputs = run(self.native, arrays, training=training)
        # A functional model has the same outputs in both modes, auxiliary ones last.
        names = graph.outputs if training else graph.main
        outputs = outputs[: len(names)]
        return named(names, [canonical_of(output) for output in outputs])

    def _precision(self) -> AbstractContextManager[None]:
        return precision(self.artifact.graph.dtype)
