"""L2 normalization."""

from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="netspec")
class L2Normalization(layers.Layer):
    """x / max(L2 norm of x, epsilon), with the norm over `axis`, one or several.

    The same function as `keras.ops.normalize`, whose gradient is NaN where all elements
    are 0, as they may be after a ReLU.
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
