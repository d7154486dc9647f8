"""Running and differentiating a Keras model on TensorFlow, PyTorch or JAX."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, cast

import keras

from netspec.errors import BackendError
from netspec.ops.base import Array
from netspec.types import DType

Derivatives = tuple[list[Array], list[Array]]


@contextmanager
def precision(dtype: DType) -> Iterator[None]:
    """Set Keras to this dtype and to channels last, and restore its configuration afterwards."""
    floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
    data_format = keras.config.image_data_format()
    try:
        keras.config.set_floatx(str(dtype))
        keras.config.set_dtype_policy(str(dtype))
        keras.config.set_image_data_format("channels_last")
        yield
    finally:
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy(policy)
        keras.config.set_image_data_format(data_format)


@contextmanager
def zeros_for_random_values() -> Iterator[None]:
    """Let Keras' initializers return zeros: a model that is given its weights need not draw others first.

    To draw them takes most of the time in which JAX builds a model, for it compiles a function for each shape.
    Keras has no other way: its `StatelessScope` draws them when it ends, or leaves variables that cannot be assigned.
    """
    originals = [(kind, kind.__call__) for kind in _RANDOM]
    try:
        for kind in _RANDOM:
            kind.__call__ = _zeros
        yield
    finally:
        for kind, original in originals:
            kind.__call__ = original


def _zeros(_: keras.initializers.Initializer, shape: Sequence[int], dtype: Any = None, **__: Any) -> Any:
    return keras.ops.zeros(shape, dtype)


_RANDOM: Final = (
    keras.initializers.VarianceScaling,  # also the default, GlorotUniform
    keras.initializers.RandomNormal,
    keras.initializers.RandomUniform,
    keras.initializers.TruncatedNormal,
)


def run(model: keras.Model, inputs: Sequence[Array], training: bool) -> list[Array]:
    """Run a model, and return its outputs."""
    compiles = keras.config.backend() == "jax"
    outputs = _run_jax(model, inputs, training) if compiles else model(_arguments(inputs), training=training)
    return [keras.ops.convert_to_numpy(output) for output in _outputs(outputs)]


def derivatives(model: keras.Model, inputs: Sequence[Array], cotangents: Sequence[Array]) -> Derivatives:
    """Derivatives at inference of Σ outputs · cotangents, for each trainable variable and each input.

    The cotangents are for the outputs that are not auxiliary, which are first.

    Raises:
        BackendError: Keras runs on an engine without gradients.
    """
    engine = keras.config.backend()
    if engine not in _DERIVATIVES:
        raise BackendError(
            f"keras on {engine} has no gradients", f"set KERAS_BACKEND to one of {', '.join(_DERIVATIVES)}"
        )
    of_variables, of_inputs = _DERIVATIVES[engine](model, inputs, cotangents)
    return [keras.ops.convert_to_numpy(d) for d in of_variables], [keras.ops.convert_to_numpy(d) for d in of_inputs]


def _tensorflow(model: keras.Model, inputs: Sequence[Array], cotangents: Sequence[Array]) -> Any:
    import tensorflow as tf

    tensors = [tf.constant(array) for array in inputs]
    variables = [variable.value for variable in model.trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        outputs = _outputs(model(_arguments(tensors), training=False))[: len(cotangents)]
    gradients = tape.gradient(
        outputs,
        [*variables, *tensors],
        [tf.constant(array) for array in cotangents],
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )
    return gradients[: len(variables)], gradients[len(variables) :]


def _torch(model: keras.Model, inputs: Sequence[Array], cotangents: Sequence[Array]) -> Any:
    import torch

    tensors = [keras.ops.convert_to_tensor(array).requires_grad_() for array in inputs]
    variables = [variable.value for variable in model.trainable_variables]
    gradients = torch.autograd.grad(
        _outputs(model(_arguments(tensors), training=False))[: len(cotangents)],
        [*variables, *tensors],
        [keras.ops.convert_to_tensor(array) for array in cotangents],
        allow_unused=True,
        materialize_grads=True,
    )
    return gradients[: len(variables)], gradients[len(variables) :]


def _jax(model: keras.Model, inputs: Sequence[Array], cotangents: Sequence[Array]) -> Any:
    import jax

    def derive(trained: list[Any], fixed: list[Any], arrays: list[Any], directions: list[Any]) -> Any:
        def outputs(trained: list[Any], arrays: list[Any]) -> list[Any]:
            result, _ = model.stateless_call(trained, fixed, _arguments(arrays), training=False)
            return _outputs(result)[: len(directions)]

        _, pull_back = jax.vjp(outputs, trained, arrays)
        return pull_back(directions)

    tensors = ([keras.ops.convert_to_tensor(array) for array in arrays] for arrays in (inputs, cotangents))
    return _compiled(model, "derivatives", derive)(*_values(model), *tensors)


def _run_jax(model: keras.Model, inputs: Sequence[Array], training: bool) -> Any:
    def call(trained: list[Any], fixed: list[Any], arrays: list[Any]) -> Any:
        return model.stateless_call(trained, fixed, _arguments(arrays), training=training)

    tensors = [keras.ops.convert_to_tensor(array) for array in inputs]
    outputs, fixed = _compiled(model, f"training={training}", call)(*_values(model), tensors)
    if training:  # at inference they stay as they are
        for variable, value in zip(model.non_trainable_variables, fixed, strict=True):
            variable.assign(value)
    return outputs


def _compiled(model: keras.Model, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of a model that JAX compiles as a whole, the same one at each call.

    Otherwise it compiles each op for itself, which takes several times as long, and runs slower.
    """
    import jax

    functions = vars(model).setdefault("_compiled_by_netspec", {})  # not by setattr, which Keras tracks
    if name not in functions:
        functions[name] = jax.jit(function)
    return cast("Callable[..., Any]", functions[name])


def _values(model: keras.Model) -> tuple[list[Any], list[Any]]:
    """The values of the variables, first of the trainable ones."""
    groups = (model.trainable_variables, model.non_trainable_variables)
    trained, fixed = ([variable.value for variable in group] for group in groups)
    return trained, fixed


_DERIVATIVES: Final[Mapping[str, Callable[[keras.Model, Sequence[Array], Sequence[Array]], Any]]] = {
    "tensorflow": _tensorflow,
    "torch": _torch,
    "jax": _jax,
}


def _arguments(tensors: Sequence[Any]) -> Any:
    """The inputs in the structure that the model was declared with: a single one, or a list."""
    return list(tensors) if len(tensors) > 1 else tensors[0]


def _outputs(result: Any) -> list[Any]:
    return list(result) if isinstance(result, list | tuple) else [result]
