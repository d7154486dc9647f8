"""PReLU with a gradient at 0."""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="netspec")
class SlopedPReLU(layers.PReLU):
    """PReLU whose gradient at 0 is the slope; that of `layers.PReLU` is 0 there."""

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        return ops.where(inputs > 0, inputs, self.alpha * inputs)
