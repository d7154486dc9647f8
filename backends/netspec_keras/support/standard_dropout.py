"""Dropout that scales at inference, as first published in 2012."""

import keras
from keras import layers


@keras.saving.register_keras_serializable(package="netspec")
class StandardDropout(layers.Dropout):
    """Dropout that multiplies by 1 - rate at inference, and does not scale in training.

    Source: Krizhevsky, Sutskever & Hinton 2012, section 4.2.
    """

    def call(
        self, inputs: keras.KerasTensor, training: bool = False
    ) -> keras.KerasTensor:
        # In training, this undoes the division by 1 - rate of `layers.Dropout`.
        return super().call(inputs, training=training) * (1 - self.rate)
