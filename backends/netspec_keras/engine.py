"""Running and differentiating a Keras model on TensorFlow, PyTorch or JAX."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

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


def run(model: keras.Model, inputs: Sequence[Array], training: bool) -> list[Array]:
    """Run a model, and return its outputs."""
    return [keras.ops.convert_to_numpy(output) for output in _outputs(model(_arguments(inputs), training=training))]


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

    fixed = [variable.value for variable in model.non_trainable_variables]

    def outputs(variables: list[Any], arrays: list[Any]) -> list[Any]:
        result, _ = model.stateless_call(variables, fixed, _arguments(arrays), training=False)
        return _outputs(result)[: len(cotangents)]

    variables = [variable.value for variable in model.trainable_variables]
    _, pull_back = jax.vjp(outputs, variables, [keras.ops.convert_to_tensor(array) for array in inputs])
    return pull_back([keras.ops.convert_to_tensor(array) for array in cotangents])


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
