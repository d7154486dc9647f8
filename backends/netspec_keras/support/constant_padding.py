"""Padding with a constant."""

from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="netspec")
class ConstantPadding2D(layers.ZeroPadding2D):
    """ZeroPadding2D with a constant other than zero."""

    def __init__(
        self,
        padding: int | tuple[int, int] | tuple[tuple[int, int], tuple[int, int]],
        value: float,
        **kwargs: Any,
    ) -> None:
        super().__init__(padding, **kwargs)
        self.value = value

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        sides = ((0, 0), *self.padding, (0, 0))
        return ops.pad(inputs, sides, constant_values=self.value)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "value": self.value}
