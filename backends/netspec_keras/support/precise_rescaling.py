"""Rescaling in full precision."""

import keras
from keras import layers


@keras.saving.register_keras_serializable(package="netspec")
class PreciseRescaling(layers.Rescaling):
    """Rescaling whose constants are not rounded to float32 on their way to float64."""

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        return inputs * self.scale + self.offset
