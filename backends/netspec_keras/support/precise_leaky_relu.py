"""Leaky ReLU in full precision."""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="netspec")
class PreciseLeakyReLU(layers.LeakyReLU):
    """LeakyReLU without TensorFlow's rounding of the slope to float32."""

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        return ops.where(inputs > 0, inputs, self.negative_slope * inputs)
