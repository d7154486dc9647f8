"""A learned or constant tensor."""

from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="netspec")
class Parameter(layers.Layer):
    """A learned or constant tensor, repeated for each sample of the inputs."""

    def __init__(
        self,
        shape: tuple[int, ...],
        initializer: Any = "zeros",
        trainable: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(trainable=trainable, **kwargs)
        self.shape = tuple(shape)
        self.initializer = keras.initializers.get(initializer)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.value = self.add_weight(
            name="value", shape=self.shape, initializer=self.initializer
        )

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        value = ops.convert_to_tensor(self.value)
        return ops.broadcast_to(value, (ops.shape(inputs)[0], *self.shape))

    def compute_output_shape(
        self, input_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        return (input_shape[0], *self.shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "shape": self.shape,
            "initializer": keras.initializers.serialize(self.initializer),
        }
