"""Local response normalization over a spatial window of one channel."""

from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="netspec")
class MapResponseNormalization(layers.Layer):
    """y = x / (k + alpha * sum of x²)^beta, the sum over a `size` by `size` window.

    The window of position i is [i - size // 2, i + (size - 1) // 2] along each spatial
    axis, cut at the edges.
    """

    def __init__(
        self, size: int, alpha: float, beta: float, k: float, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        reach = (self.size // 2, (self.size - 1) // 2)
        squares = ops.pad(ops.square(inputs), ((0, 0), reach, reach, (0, 0)))
        means = ops.average_pool(
            squares, self.size, strides=1, data_format="channels_last"
        )
        scale = self.k + self.alpha * self.size**2 * means
        return inputs * ops.power(scale, -self.beta)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "size": self.size,
            "alpha": self.alpha,
            "beta": self.beta,
            "k": self.k,
        }
