"""Dropout as it was first defined."""

import keras
from keras import layers


@keras.saving.register_keras_serializable(package="netspec")
class StandardDropout(layers.Dropout):
    """Dropout that scales at inference, by 1 - rate, and not in training."""

    def call(
        self, inputs: keras.KerasTensor, training: bool = False
    ) -> keras.KerasTensor:
        # Dropout itself divides what it keeps by 1 - rate, in training alone.
        return super().call(inputs, training=training) * (1 - self.rate)
