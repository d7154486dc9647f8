"""Padding by reflection."""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="netspec")
class ReflectionPadding2D(layers.ZeroPadding2D):
    """Padding with the reflection of the map, without repeating its edge."""

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        return ops.pad(inputs, ((0, 0), *self.padding, (0, 0)), mode="reflect")
