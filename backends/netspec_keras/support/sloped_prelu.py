"""PReLU with the slope at 0 too."""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="netspec")
class SlopedPReLU(layers.PReLU):
    """PReLU whose gradient at 0 is the slope; Keras' own, two ReLUs, has none there."""

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        return ops.where(inputs > 0, inputs, self.alpha * inputs)
