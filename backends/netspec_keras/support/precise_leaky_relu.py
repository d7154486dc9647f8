"""Leaky ReLU in full precision."""

from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="netspec")
class PreciseLeakyReLU(layers.LeakyReLU):
    """LeakyReLU of any slope, without TensorFlow's rounding of it to float32."""

    def __init__(self, negative_slope: float = 0.3, **settings: Any) -> None:
        super().__init__(**settings)
        self.negative_slope = negative_slope  # Keras refuses a negative one

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        return ops.where(inputs > 0, inputs, self.negative_slope * inputs)
