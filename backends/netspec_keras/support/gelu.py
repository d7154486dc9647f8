"""GELU in full precision."""

import math
from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="netspec")
class GELU(layers.Layer):
    """x * Phi(x), where Phi is the normal CDF, exact or `approximate` by tanh.

    The same function as `keras.activations.gelu`, whose constants TensorFlow rounds to
    float32 even in a float64 model.
    """

    def __init__(self, approximate: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.approximate = approximate

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        x = inputs
        if self.approximate:
            z = ops.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x))
        else:
            z = ops.erf(math.sqrt(0.5) * x)
        return 0.5 * x * (1.0 + z)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "approximate": self.approximate}
