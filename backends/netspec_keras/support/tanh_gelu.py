"""The approximation of GELU."""

import keras
from keras import layers


@keras.saving.register_keras_serializable(package="netspec")
class TanhGELU(layers.Layer):
    """GELU by its approximation with tanh."""

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        return keras.activations.gelu(inputs, approximate=True)
