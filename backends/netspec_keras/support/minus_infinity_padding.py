"""Padding for max pooling."""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="netspec")
class MinusInfinityPadding2D(layers.ZeroPadding2D):
    """ZeroPadding2D with minus infinity, which max pooling never selects."""

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        sides = ((0, 0), *self.padding, (0, 0))
        return ops.pad(inputs, sides, constant_values=float("-inf"))
