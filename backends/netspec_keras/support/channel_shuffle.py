"""Channel shuffle."""

from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="netspec")
class ChannelShuffle(layers.Layer):
    """Interleaves the channels of `groups`. Source: Zhang et al. 2017 (ShuffleNet)."""

    def __init__(self, groups: int, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.groups = groups
        self.axis = axis

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        channels = inputs.shape[self.axis]
        width = channels // self.groups
        order = [g * width + i for i in range(width) for g in range(self.groups)]
        return ops.take(inputs, order, axis=self.axis)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "groups": self.groups, "axis": self.axis}
