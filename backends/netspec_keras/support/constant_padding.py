"""Padding with a value."""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="netspec")
class ConstantPadding2D(layers.ZeroPadding2D):
    """ZeroPadding2D with a value other than zero."""

    def __init__(self, padding, value, **kwargs):
        super().__init__(padding, **kwargs)
        self.value = value

    def call(self, inputs):
        sides = ((0, 0), *self.padding, (0, 0))
        return ops.pad(inputs, sides, constant_values=self.value)

    def get_config(self):
        return {**super().get_config(), "value": self.value}
