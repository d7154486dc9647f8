"""Local response normalization over channels."""

from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="netspec")
class LocalResponseNormalization(layers.Layer):
    """y = x / (k + alpha * sum of x²)^beta, the sum over `size` neighboring channels.

    A sum does not cross the boundary between two of the `groups` of channels. The sums
    are a product with a band matrix, which is faster on a CPU than adding slices.
    """

    def __init__(
        self,
        size: int,
        alpha: float,
        beta: float,
        k: float,
        groups: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k
        self.groups = groups

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        window = self.alpha * self.neighbors(inputs.shape[-1])
        mirrored = 2 * self.beta * ops.transpose(window)

        def normalize(x: keras.KerasTensor) -> tuple[keras.KerasTensor, Any]:
            scale = self.k + ops.matmul(ops.square(x), window)
            factor = self.power(scale)

            def gradient(upstream: keras.KerasTensor) -> keras.KerasTensor:
                direct = upstream * factor
                return direct - x * ops.matmul(direct * x / scale, mirrored)

            return x * factor, gradient

        if keras.config.backend() == "torch":  # no second derivative of a custom one
            return normalize(inputs)[0]
        # This gradient takes fewer passes over memory than the one by autodiff.
        return ops.custom_gradient(normalize)(inputs)

    def power(self, scale: keras.KerasTensor) -> keras.KerasTensor:
        """Return scale^-beta."""
        if self.beta == 0.75:  # two square roots are much faster than a power
            return ops.rsqrt(scale * ops.sqrt(scale))
        return ops.power(scale, -self.beta)

    def neighbors(self, channels: int) -> keras.KerasTensor:
        """Return a matrix whose column c is 1 in the rows of the window of channel c.

        It is [c - size // 2, c + (size - 1) // 2], cut at the edges of the group.
        """
        index = ops.arange(channels)
        row, column = ops.expand_dims(index, 1), ops.expand_dims(index, 0)
        near = ops.logical_and(
            row >= column - self.size // 2, row <= column + (self.size - 1) // 2
        )
        width = channels // self.groups
        return ops.cast(
            ops.logical_and(near, row // width == column // width), self.compute_dtype
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "size": self.size,
            "alpha": self.alpha,
            "beta": self.beta,
            "k": self.k,
            "groups": self.groups,
        }
