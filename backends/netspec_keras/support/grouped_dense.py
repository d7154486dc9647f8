"""A dense layer with groups."""

from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="netspec")
class GroupedDense(layers.Layer):
    """Dense with independent groups of features, like `groups` in Conv2D."""

    def __init__(
        self, units: int, groups: int, use_bias: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.groups = groups
        self.use_bias = use_bias

    def build(self, input_shape: tuple[int, ...]) -> None:
        features = input_shape[-1] // self.groups
        self.kernel = self.add_weight(
            name="kernel", shape=(features, self.units), initializer="glorot_uniform"
        )
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias", shape=(self.units,), initializer="zeros"
            )

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        groups = zip(
            ops.split(inputs, self.groups, axis=-1),
            ops.split(ops.convert_to_tensor(self.kernel), self.groups, axis=-1),
        )
        outputs = ops.concatenate([ops.matmul(x, k) for x, k in groups], axis=-1)
        return outputs + self.bias if self.use_bias else outputs

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "groups": self.groups,
            "use_bias": self.use_bias,
        }
