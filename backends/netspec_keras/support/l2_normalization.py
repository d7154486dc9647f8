"""Normalization to length one."""

from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="netspec")
class L2Normalization(layers.Layer):
    """x / max(norm of x, epsilon), the norm taken over `axis`, one or several.

    The function of `keras.ops.normalize`, whose gradient is not a number where all
    of x is 0, as it may be after a ReLU.
    """

    def __init__(
        self, axis: int | tuple[int, ...], epsilon: float, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.axis = axis if isinstance(axis, int) else tuple(axis)
        self.epsilon = epsilon

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        squares = ops.sum(ops.square(inputs), axis=self.axis, keepdims=True)
        return inputs * ops.rsqrt(ops.maximum(squares, self.epsilon**2))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis, "epsilon": self.epsilon}
