"""An emitted `keras.Model`, trained on TensorFlow: a step is one traced function, which Python enters once."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from netspec.errors import BackendError
from netspec.graph.weights import check_weights
from netspec.lowering import Artifact, Batch, StepResult, Trainer, TrainerSettings, TrainingState
from netspec.lowering.trainer import ITERATE, require_statistics
from netspec.ops.base import Array, Weights
from netspec.types import DType, TensorType
from netspec_keras.layout import native_order, native_shape

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # as in the module of the model

import keras
import tensorflow as tf

from netspec_keras.device import choose_device, describe
from netspec_keras.loss import losses, missed
from netspec_keras.masks import DropoutLayers
from netspec_keras.model import KerasModel
from netspec_keras.optimizer import Optimizer

if TYPE_CHECKING:
    from numpy.typing import NDArray

Given = dict[str, Any]  # the arguments of a traced function by name: arrays, or tuples of them
Found = tuple[Any, Any, Sequence[Any]]  # loss, how many are wrong, gradients
# Arguments whose first axis is the free batch.
PER_SAMPLE = ("inputs", "labels", "partners", "shares", "shifts", "masks", "weights")


class KerasTrainer(Trainer):
    """The emitted model, the loss, its gradient and the update in one `tf.function`.

    A function is traced for each set of arguments that comes up, and the size of a batch is free in all of them.
    """

    def __init__(self, artifact: Artifact, weights: Weights, settings: TrainerSettings) -> None:
        self._settings = settings
        self._graph = artifact.graph
        self._head_weights = settings.head_weights(self._graph)
        self._place, self.device = choose_device(settings.device)
        with tf.device(self._place):
            self._model = TrainedModel(artifact, weights, settings)
            self._optimizer = Optimizer(settings.recipe, self._model.trainable)
        self.native = self._model.native
        self.notes = describe(self.device, settings, self._graph.dtype)
        self._drops = DropoutLayers(self._graph, self.native)
        self._updates, self._shows_average = 0, False
        self._functions: dict[tuple[object, ...], Callable[[Given], Any]] = {}

    def step(
        self, batches: Sequence[Batch], rate: float, total: int, key: int, *, keep_gradients: bool = False
    ) -> StepResult:
        """One optimizer step; see `Trainer`. A batch without samples has no part in it."""
        self._show(average=False)
        numbers = self._optimizer.numbers(rate, self._updates)
        given = [self._given(b, total, key, position) for position, b in enumerate(batches) if len(b.labels)]
        if len(given) == 1:
            found = self._call(self._whole_step, given[0] | {"numbers": numbers}, keep=keep_gradients)
        else:
            found = self._accumulated_step(given, numbers)
        loss, wrong, gradients = float(found[0]), float(found[1]), found[2]
        self._updates += math.isfinite(loss)
        if not keep_gradients:
            return StepResult(loss, wrong)
        return StepResult(loss, wrong, self._model.canonical(dict(zip(self._model.trainable, gradients, strict=True))))

    def predict(self, inputs: NDArray[Any]) -> Array:
        """Logits at inference."""
        self._show(average=True)
        logits = self._call(self._predicted, {"inputs": self._inputs(inputs)}).numpy()
        canonical: Array = np.ascontiguousarray(logits.transpose(np.argsort(native_order(logits.ndim))))
        return canonical

    def export_state(self) -> TrainingState:
        """A copy of the state."""
        self._show(average=False)
        kept = self._optimizer.slots | ({ITERATE: self._model.trainable} if self._optimizer.averages else {})
        slots = {slot: self._model.canonical(variables) for slot, variables in kept.items()}
        weights = self._model.canonical(self._model.variables | self._optimizer.averages)
        return TrainingState(weights, slots, self._updates)

    def import_state(self, state: TrainingState) -> None:
        """Take over a state; slots that are not in it become zero, iterates what the weights are.

        Raises:
            WeightsError: it is of another network or another optimizer.
        """
        check_weights(self._graph, state.weights)
        keeps = [*self._optimizer.slots, *([ITERATE] if self._optimizer.averages else [])]
        state.require_slots(keeps, {name: self._graph.weights[name].shape for name in self._model.trainable})
        self._show(average=False)
        self._model.assign(self._model.variables, state.trained)
        self._model.assign(self._optimizer.averages, state.weights)
        for slot, variables in self._optimizer.slots.items():
            zeros = {name: np.zeros(self._graph.weights[name].shape) for name in variables}
            self._model.assign(variables, zeros | state.slots.get(slot, {}))
        self._updates = state.updates

    def _show(self, *, average: bool) -> None:
        """Let the variables of the model be the averages, which then hold what is trained, or the reverse."""
        if self._optimizer.averages and average != self._shows_average:
            for name, other in self._optimizer.averages.items():
                shown = tf.identity(self._model.trainable[name])
                self._model.trainable[name].assign(other)
                other.assign(shown)
            self._shows_average = average

    def _call(self, function: Callable[..., Any], given: Given, **options: bool) -> Any:
        """A method, traced for this set of arguments and options when it first comes up."""
        case = (function.__name__, *given, *options.values(), getattr(given.get("inputs"), "dtype", None))
        if case not in self._functions:
            traced = partial(function, **options)
            self._functions[case] = tf.function(traced, input_signature=[_signature(given)], autograph=False)
        with tf.device(self._place):
            return self._functions[case](given)

    def _given(self, batch: Batch, total: int, key: int, position: int) -> Given:
        """What a traced function takes of a batch, the one at this position in its step."""
        inputs = self._inputs(batch.inputs, in_training=True)
        classes, *size = self._graph.type_of(self._graph.outputs[0]).features
        batch.require_targets(classes, size)
        require_statistics(self._graph, len(batch.labels))
        given = {"inputs": inputs, "labels": batch.labels, "total": np.float64(total)}
        some = {
            "shifts": batch.shifts,
            "partners": batch.partners,
            "shares": batch.shares,
            "weights": batch.weights,
        }
        given |= {name: array for name, array in some.items() if array is not None}
        return given | self._drops.arguments(batch, key, position)

    def _inputs(self, inputs: NDArray[Any], *, in_training: bool = False) -> NDArray[Any]:
        """Images as they are, in training of float32 too; features in Keras' order of axes.

        Raises:
            BackendError: they are not what the network takes.
        """
        (value,) = self._graph.inputs
        images = self._settings.normalization is not None
        expected = TensorType(native_shape(value.type)) if images else value.type
        pixels = (np.uint8, np.float32) if in_training else (np.uint8,)
        if inputs.shape[1:] != expected.features or (images and inputs.dtype not in pixels):
            what = f"{' or '.join(each.__name__ for each in pixels)} images" if images else "features"
            raise BackendError(f"{value.name}: expected {what} {expected}, received {inputs.dtype} {inputs.shape}")
        return inputs if images else inputs.transpose(native_order(inputs.ndim)).astype(self._graph.dtype.numpy)

    def _accumulated_step(self, given: Sequence[Given], numbers: NDArray[np.float64]) -> Found:
        """Several batches one after the other, and one update from the sum of their gradients."""
        before = [tf.identity(variable) for variable in self._model.statistics]
        loss, wrong, gradients = 0.0, 0.0, ()
        for one in given:
            found = self._call(self._differentiated, one)
            loss, wrong = loss + float(found[0]), wrong + float(found[1])
            gradients = tuple(map(tf.add, gradients, found[2])) if gradients else tuple(found[2])
        if math.isfinite(loss):
            self._call(self._update, {"gradients": gradients, "numbers": numbers})
        else:
            self._model.restore(before)
        return loss, wrong, gradients

    # Below is what is traced.

    def _whole_step(self, given: Given, keep: bool) -> Found:
        before = [tf.identity(variable) for variable in self._model.statistics]
        loss, wrong, gradients = self._differentiated(given)
        update = partial(self._update, {"gradients": gradients, "numbers": given["numbers"]})
        tf.cond(tf.math.is_finite(loss), update, partial(self._model.restore, before))
        return loss, wrong, gradients if keep else []

    def _differentiated(self, given: Given) -> Found:
        variables = list(self._model.trainable.values())
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            with self._drops.taking(given):
                logits, *heads = self._model.outputs(self._normalized(given), training=True)
            smoothing = self._settings.recipe.loss.label_smoothing
            each = losses(logits, given, smoothing)
            for weight, head in zip(self._head_weights, heads, strict=True):
                each += weight * losses(head, given, smoothing)
            loss = tf.reduce_sum(each) / tf.cast(given["total"], each.dtype)
        wrong = missed(logits, given["labels"])
        # What no output needs has a gradient of zero; its decay goes on.
        gradients = tape.gradient(loss, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return loss, wrong, gradients

    def _update(self, given: Given) -> tf.Tensor:
        self._optimizer.apply(given["gradients"], given["numbers"])
        return tf.constant(True)

    def _predicted(self, given: Given) -> tf.Tensor:
        return self._model.outputs(self._normalized(given), training=False)[0]

    def _normalized(self, given: Given) -> tf.Tensor:
        dtype, normalization = self._graph.dtype.numpy, self._settings.normalization
        values = tf.cast(given["inputs"], dtype)
        if normalization is None:
            return values
        if "shifts" in given:
            values += tf.cast(given["shifts"], dtype)[:, None, None, :]
        mean, factor = (a.transpose(1, 2, 0).astype(dtype) for a in (normalization.mean, normalization.factor))
        return (values - mean) * factor


class TrainedModel(KerasModel):
    """A loaded model as the trainer sees it: by variable of TensorFlow.

    Attributes:
        variables: every weight by canonical name; those of layers that Keras left out are variables too.
        trainable: those of them that are trained.
        statistics: the others.
    """

    def __init__(self, artifact: Artifact, weights: Weights, settings: TrainerSettings) -> None:
        graph = artifact.graph
        self._mixed = settings.precision == "bfloat16"
        if self._mixed and graph.dtype is not DType.FLOAT32:
            raise BackendError(f"bfloat16 goes with weights in float32, and those of {graph.name} are {graph.dtype}")
        super().__init__(artifact, weights)
        found = {path: variable.value for path, variable in self._variables.items()}
        found |= {path: tf.Variable(array) for path, array in self._unused.items()}
        self.variables = {b.weight: found[b.path] for b in artifact.bindings}
        self.trainable = {name: v for name, v in self.variables.items() if graph.weights[name].trainable}
        self.statistics = [v for name, v in self.variables.items() if name not in self.trainable]
        if still := [b.weight for b in artifact.bindings if b.path in self._unused and b.weight not in self.trainable]:
            raise BackendError(
                f"keras leaves out layers that no output needs: {', '.join(still)} would not follow the data",
                "remove the layers from the spec",
            )

    def outputs(self, inputs: tf.Tensor, training: bool) -> list[tf.Tensor]:
        """The logits, then those of auxiliary heads, in the dtype of the graph. To be traced."""
        with self._precision():
            found = self.native(inputs, training=training)
        every = found if isinstance(found, list | tuple) else [found]
        return [tf.cast(each, self.artifact.graph.dtype.numpy) for each in every]

    def canonical(self, native: Mapping[str, Any]) -> dict[str, Array]:
        """Copies in canonical layout of variables or tensors in Keras', by weight."""
        return {
            b.weight: b.to_canonical(native[b.weight].numpy()).copy()
            for b in self.artifact.bindings
            if b.weight in native
        }

    def assign(self, variables: Mapping[str, tf.Variable], weights: Weights) -> None:
        """Canonical arrays into variables, by weight."""
        for b in self.artifact.bindings:
            if b.weight in variables:
                variables[b.weight].assign(b.to_native(weights[b.weight]).astype(self.artifact.graph.dtype.numpy))

    def restore(self, before: Sequence[tf.Tensor]) -> tf.Tensor:
        """Give the statistics the values that they had."""
        for variable, value in zip(self.statistics, before, strict=True):
            variable.assign(value)
        return tf.constant(False)

    @contextmanager
    def _precision(self) -> Iterator[None]:
        with super()._precision():
            if self._mixed:
                keras.config.set_dtype_policy("mixed_bfloat16")
            yield


def _signature(given: Given) -> dict[str, Any]:
    def spec(array: Any, first: tuple[None, ...]) -> tf.TensorSpec:
        return tf.TensorSpec((*first, *array.shape[len(first) :]), array.dtype)

    return {
        name: tf.nest.map_structure(partial(spec, first=(None,) if name in PER_SAMPLE else ()), value)
        for name, value in given.items()
    }
