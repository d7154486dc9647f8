"""A learned scale for each channel."""

from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="netspec")
class LayerScale(layers.Layer):
    """Inputs times a learned gain for each index of an axis.

    Source: Touvron et al. 2021 (CaiT).
    """

    def __init__(
        self, initial: float | tuple[float, ...], axis: int = -1, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.initial = initial
        self.axis = axis

    def build(self, input_shape: tuple[int, ...]) -> None:
        self.gain = self.add_weight(
            name="gain",
            shape=(input_shape[self.axis],),
            initializer=keras.initializers.Constant(self.initial),
        )

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        after = len(inputs.shape) - 1 - self.axis % len(inputs.shape)
        return inputs * ops.reshape(self.gain, (-1, *(1,) * after))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "initial": self.initial, "axis": self.axis}
