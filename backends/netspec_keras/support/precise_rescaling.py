"""Rescaling in full precision."""

import keras
from keras import layers


@keras.saving.register_keras_serializable(package="netspec")
class PreciseRescaling(layers.Rescaling):
    """Rescaling without the rounding of its constants to float32 in a float64 model."""

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        return inputs * self.scale + self.offset
