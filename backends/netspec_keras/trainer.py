"""The trainer of an emitted `keras.Model` on TensorFlow: each step is one call of a traced function."""

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
from netspec.lowering import Artifact, Batch, InputGradients, StepResult, Trainer, TrainerSettings, TrainingState
from netspec.lowering.batch import require_inputs, require_statistics
from netspec.lowering.trainer import ITERATE
from netspec.ops.base import Array, Weights
from netspec_keras.layout import canonical_of, native_of, native_order

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # as in netspec_keras.model

import keras
import tensorflow as tf

from netspec_keras.device import choose_device, describe
from netspec_keras.loss import count_wrong, losses
from netspec_keras.masks import DropoutLayers
from netspec_keras.model import KerasModel
from netspec_keras.optimizer import Optimizer
from netspec_keras.out_of_memory import explain_out_of_memory

if TYPE_CHECKING:
    from numpy.typing import NDArray

Arguments = dict[str, Any]  # the arguments of a traced function by name: arrays, or tuples of arrays
Derived = tuple[Any, Any, Sequence[Any]]  # the loss, the number of wrong predictions, and the gradients
# The arguments whose first axis is the batch, whose size is free.
PER_SAMPLE = ("inputs", "labels", "partners", "shares", "shifts", "masks", "weights", "cotangents")


class KerasTrainer(Trainer):
    """The emitted model with the recipe's loss and optimizer, in one `tf.function`.

    A function is traced once for each set of argument names and options, with a free batch size.

    Args:
        artifact: the lowering of a graph with one input, whose output and auxiliary outputs are logits (N, classes) or
            (N, classes, H, W), or whose output is a generator's.
        weights: the initial canonical arrays.
        settings: recipe, normalization, device and precision.

    Raises:
        BackendError: the device is not available, or the settings do not fit the network.
    """

    def __init__(self, artifact: Artifact, weights: Weights, settings: TrainerSettings) -> None:
        self._settings = settings
        self._graph = artifact.graph
        settings.require_fit(self._graph)
        self._head_weights = settings.head_weights(self._graph)
        self._place, self.device = choose_device(settings.device)
        with tf.device(self._place):
            self._model = TrainedModel(artifact, weights, settings)
            self._optimizer = Optimizer(settings.recipe, self._model.trainable)
        self.native = self._model.native
        self.notes = describe(self.device, settings, self._graph.dtype)
        self._drops = DropoutLayers(self._graph, self.native)
        self._updates, self._shows_average = 0, False
        self._functions: dict[tuple[object, ...], Callable[[Arguments], Any]] = {}

    def step(
        self, batches: Sequence[Batch], rate: float, total: int, key: int, *, keep_gradients: bool = False
    ) -> StepResult:
        """One optimizer step; see `Trainer.step`. Batches without samples are ignored.

        Raises:
            BackendError: a batch does not fit the network, memory does not hold it, or there are no samples.
        """
        self._show(average=False)
        numbers = self._optimizer.numbers(rate, self._updates)
        arguments = [
            self._targets(b, total) | self._arguments(b, key, position)
            for position, b in enumerate(batches)
            if len(b.labels)
        ]
        if not arguments:
            raise BackendError("a step needs at least one sample, received none")
        if len(arguments) == 1:
            derived = self._call(self._whole_step, arguments[0] | {"numbers": numbers}, keep=keep_gradients)
        else:
            derived = self._accumulated_step(arguments, numbers)
        loss, wrong, gradients = float(derived[0]), float(derived[1]), derived[2]
        self._updates += math.isfinite(loss)
        if not keep_gradients:
            return StepResult(loss, wrong)
        return StepResult(loss, wrong, self._model.canonical(dict(zip(self._model.trainable, gradients, strict=True))))

    def predict(self, inputs: NDArray[Any]) -> Array:
        """Logits at inference; see `Trainer.predict`."""
        self._show(average=True)
        return canonical_of(self._call(self._predict, {"inputs": self._inputs(inputs)}).numpy())

    def outputs(self, batches: Sequence[Batch], key: int) -> tuple[Array, ...]:
        """The main output in training mode; see `Trainer.outputs`."""
        self._show(average=False)
        arguments = [self._arguments(b, key, position) for position, b in enumerate(batches)]
        return tuple(canonical_of(self._call(self._training_outputs, each).numpy()) for each in arguments)

    def input_gradients(self, batches: Sequence[Batch], key: int) -> InputGradients:
        """The losses and their gradients in the input; see `Trainer.input_gradients`."""
        self._show(average=False)
        arguments = [self._targets(b, 1) | self._arguments(b, key, position) for position, b in enumerate(batches)]
        derived = [self._call(self._derive_inputs, each) for each in arguments]
        losses, counts = (sum(float(each[part]) for each in derived) for part in (0, 1))
        return InputGradients(losses, counts, tuple(canonical_of(each[2][0].numpy()) for each in derived))

    def export_state(self) -> TrainingState:
        """A copy of the state; see `Trainer.export_state`."""
        self._show(average=False)
        variables = self._optimizer.slots | ({ITERATE: self._model.trainable} if self._optimizer.averages else {})
        slots = {slot: self._model.canonical(by_weight) for slot, by_weight in variables.items()}
        weights = self._model.canonical(self._model.variables | self._optimizer.averages)
        return TrainingState(weights, slots, self._updates)

    def import_state(self, state: TrainingState) -> None:
        """Restore a state; see `Trainer.import_state`.

        Raises:
            WeightsError: the weights are another network's, or the slots another optimizer's.
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
        """Let the model's variables hold the averages, or the iterates; the optimizer's averages hold the other."""
        if self._optimizer.averages and average != self._shows_average:
            for name, other in self._optimizer.averages.items():
                value = tf.identity(self._model.trainable[name])
                self._model.trainable[name].assign(other)
                other.assign(value)
            self._shows_average = average

    def _call(self, function: Callable[..., Any], arguments: Arguments, **options: bool) -> Any:
        """Call a method as a `tf.function`, traced at the first call with these argument names and options."""
        case = (function.__name__, *arguments, *options.values(), getattr(arguments.get("inputs"), "dtype", None))
        if case not in self._functions:
            traced = partial(function, **options)
            self._functions[case] = tf.function(traced, input_signature=[_signature(arguments)], autograph=False)
        with tf.device(self._place), explain_out_of_memory(self.device):
            return self._functions[case](arguments)

    def _arguments(self, batch: Batch, key: int, position: int) -> Arguments:
        """What a traced function computes outputs from, of a batch that has this position in its step."""
        inputs = self._inputs(batch.inputs, batch.shifts, in_training=True)
        require_statistics(self._graph, len(batch.labels))
        shifts = {"shifts": batch.shifts} if batch.shifts is not None else {}
        return {"inputs": inputs, **shifts, **self._drops.arguments(batch, key, position)}

    def _targets(self, batch: Batch, total: int) -> Arguments:
        """What a traced function computes the loss of a batch from."""
        classes, *size = self._graph.type_of(self._graph.outputs[0]).features
        batch.require_targets(classes, size)
        if batch.cotangents is not None:
            return {"cotangents": native_of(batch.cotangents), "total": np.float64(total)}
        optional = {"partners": batch.partners, "shares": batch.shares, "weights": batch.weights}
        given = {name: array for name, array in optional.items() if array is not None}
        return {"labels": batch.labels, "total": np.float64(total), **given}

    def _inputs(
        self, inputs: NDArray[Any], shifts: NDArray[Any] | None = None, *, in_training: bool = False
    ) -> NDArray[Any]:
        """Check the inputs: images stay as they are, features get the native layout.

        Raises:
            BackendError: the dtype or shape does not fit the network.
        """
        (value,) = self._graph.inputs
        images = self._settings.normalization is not None
        require_inputs(value, inputs, shifts, images=images, in_training=in_training)
        return inputs if images else inputs.transpose(native_order(inputs.ndim)).astype(self._graph.dtype.numpy)

    def _accumulated_step(self, arguments: Sequence[Arguments], numbers: NDArray[np.float64]) -> Derived:
        """Process several batches one after the other, and update once with the sum of their gradients."""
        before = [tf.identity(variable) for variable in self._model.statistics]
        loss, wrong, gradients = 0.0, 0.0, ()
        for of_batch in arguments:
            derived = self._call(self._derive, of_batch)
            loss, wrong = loss + float(derived[0]), wrong + float(derived[1])
            gradients = tuple(map(tf.add, gradients, derived[2])) if gradients else tuple(derived[2])
        if math.isfinite(loss):
            self._call(self._update, {"gradients": gradients, "numbers": numbers})
        else:
            self._model.restore(before)
        return loss, wrong, gradients

    # The methods below are traced.

    def _whole_step(self, arguments: Arguments, keep: bool) -> Derived:
        before = [tf.identity(variable) for variable in self._model.statistics]
        loss, wrong, gradients = self._derive(arguments)
        update = partial(self._update, {"gradients": gradients, "numbers": arguments["numbers"]})
        tf.cond(tf.math.is_finite(loss), update, partial(self._model.restore, before))
        return loss, wrong, gradients if keep else []

    def _derive(self, arguments: Arguments) -> Derived:
        return self._derive_in(list(self._model.trainable.values()), self._normalize(arguments), arguments)

    def _derive_inputs(self, arguments: Arguments) -> Derived:
        before, inputs = [tf.identity(variable) for variable in self._model.statistics], self._normalize(arguments)
        derived = self._derive_in([inputs], inputs, arguments)
        self._model.restore(before)
        return derived

    def _derive_in(self, sources: Sequence[Any], inputs: tf.Tensor, arguments: Arguments) -> Derived:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(sources)
            with self._drops.taking(arguments):
                logits, *heads = self._model.outputs(inputs, training=True)
            smoothing = self._settings.recipe.label_loss.label_smoothing
            per_sample = losses(logits, arguments, smoothing)
            for weight, head in zip(self._head_weights, heads, strict=True):
                per_sample += weight * losses(head, arguments, smoothing)
            loss = tf.reduce_sum(per_sample) / tf.cast(arguments["total"], per_sample.dtype)
        # Weights that no output depends on have a gradient of zero, and still decay.
        gradients = tape.gradient(loss, sources, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return loss, count_wrong(logits, arguments), gradients

    def _training_outputs(self, arguments: Arguments) -> tf.Tensor:
        before = [tf.identity(variable) for variable in self._model.statistics]
        with self._drops.taking(arguments):
            outputs = self._model.outputs(self._normalize(arguments), training=True)
        self._model.restore(before)
        return outputs[0]

    def _update(self, arguments: Arguments) -> tf.Tensor:
        self._optimizer.apply(arguments["gradients"], arguments["numbers"])
        return tf.constant(True)

    def _predict(self, arguments: Arguments) -> tf.Tensor:
        return self._model.outputs(self._normalize(arguments), training=False)[0]

    def _normalize(self, arguments: Arguments) -> tf.Tensor:
        dtype, normalization = self._graph.dtype.numpy, self._settings.normalization
        values = tf.cast(arguments["inputs"], dtype)
        if normalization is None:
            return values
        if "shifts" in arguments:
            values += tf.cast(arguments["shifts"], dtype)[:, None, None, :]
        mean, factor = (a.transpose(1, 2, 0).astype(dtype) for a in (normalization.mean, normalization.factor))
        return (values - mean) * factor


class TrainedModel(KerasModel):
    """A loaded model whose weights the trainer sees as TensorFlow's variables.

    Attributes:
        variables: all weights by canonical name, including those of layers that Keras leaves out.
        trainable: the trainable ones of them.
        statistics: the other ones.
    """

    def __init__(self, artifact: Artifact, weights: Weights, settings: TrainerSettings) -> None:
        graph = artifact.graph
        self._mixed = settings.precision == "bfloat16"
        super().__init__(artifact, weights)
        by_path = {path: variable.value for path, variable in self._variables.items()}
        by_path |= {path: tf.Variable(array) for path, array in self._unused.items()}
        self.variables = {b.weight: by_path[b.path] for b in artifact.bindings}
        self.trainable = {name: v for name, v in self.variables.items() if graph.weights[name].trainable}
        self.statistics = [v for name, v in self.variables.items() if name not in self.trainable]
        unused = [b.weight for b in artifact.bindings if b.path in self._unused]
        if frozen := [each for each in unused if each not in self.trainable and not graph.weights[each].fixed]:
            raise BackendError(
                f"keras leaves out layers that no output needs: {', '.join(frozen)} would never be updated",
                "remove the layers from the spec",
            )

    def outputs(self, inputs: tf.Tensor, training: bool) -> list[tf.Tensor]:
        """The logits, and those of auxiliary heads, in the dtype of the graph; called in a traced function."""
        with self._precision():
            outputs = self.native(inputs, training=training)
        outputs = outputs if isinstance(outputs, list | tuple) else [outputs]
        return [tf.cast(output, self.artifact.graph.dtype.numpy) for output in outputs]

    def canonical(self, native: Mapping[str, Any]) -> dict[str, Array]:
        """Copy variables or tensors in native layout to canonical arrays, by weight."""
        return {
            b.weight: b.to_canonical(native[b.weight].numpy()).copy()
            for b in self.artifact.bindings
            if b.weight in native
        }

    def assign(self, variables: Mapping[str, tf.Variable], weights: Weights) -> None:
        """Assign canonical arrays to variables, by weight."""
        for b in self.artifact.bindings:
            if b.weight in variables:
                variables[b.weight].assign(b.to_native(weights[b.weight]).astype(self.artifact.graph.dtype.numpy))

    def restore(self, before: Sequence[tf.Tensor]) -> tf.Tensor:
        """Assign the statistics their values from before the step."""
        for variable, value in zip(self.statistics, before, strict=True):
            variable.assign(value)
        return tf.constant(False)

    @contextmanager
    def _precision(self) -> Iterator[None]:
        with super()._precision():
            if self._mixed:
                keras.config.set_dtype_policy("mixed_bfloat16")
            yield


def _signature(arguments: Arguments) -> dict[str, Any]:
    """The input signature of a traced function, with a free batch size."""

    def spec(array: Any, batch: tuple[None, ...]) -> tf.TensorSpec:
        return tf.TensorSpec((*batch, *array.shape[len(batch) :]), array.dtype)

    return {
        name: tf.nest.map_structure(partial(spec, batch=(None,) if name in PER_SAMPLE else ()), value)
        for name, value in arguments.items()
    }
