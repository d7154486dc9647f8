"""alexnet: Krizhevsky, Sutskever & Hinton 2012, ImageNet Classification with Deep
Convolutional Neural Networks, section 3

Emitted by netspec from a layer spec; needs keras alone.
"""

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


@keras.saving.register_keras_serializable(package="netspec")
class GroupedConv2D(layers.Conv2D):
    """Conv2D with one convolution for each of its groups.

    The same function and kernel as Conv2D with `groups`, which takes three times as
    long to train on a CPU with TensorFlow or JAX.
    """

    def convolution_op(
        self, inputs: keras.KerasTensor, kernel: keras.KerasTensor
    ) -> keras.KerasTensor:
        convolve = super().convolution_op
        groups = zip(
            ops.split(inputs, self.groups, axis=-1),
            ops.split(kernel, self.groups, axis=-1),
        )
        return ops.concatenate([convolve(x, k) for x, k in groups], axis=-1)


@keras.saving.register_keras_serializable(package="netspec")
class StandardDropout(layers.Dropout):
    """Dropout that multiplies by 1 - rate at inference, and does not scale in training.

    Source: Krizhevsky, Sutskever & Hinton 2012, section 4.2.
    """

    def call(
        self, inputs: keras.KerasTensor, training: bool = False
    ) -> keras.KerasTensor:
        # In training, this undoes the division by 1 - rate of `layers.Dropout`.
        return super().call(inputs, training=training) * (1 - self.rate)


def build_alexnet() -> keras.Model:
    """(N, 224, 224, 3) to (N, 1000); 60,965,224 weights."""
    input = keras.Input((224, 224, 3), name="input")
    # (N, 227, 227, 3)
    x = layers.ZeroPadding2D(((0, 3), (0, 3)), name="conv1_pad")(input)
    x = layers.Conv2D(96, 11, strides=4, name="conv1")(x)  # (N, 55, 55, 96)
    x = layers.ReLU(name="relu1")(x)
    x = LocalResponseNormalization(
        5, alpha=0.0001, beta=0.75, k=2.0, groups=2, name="norm1"
    )(x)
    x = layers.MaxPooling2D(3, strides=2, name="pool1")(x)  # (N, 27, 27, 96)
    # (N, 27, 27, 256)
    x = GroupedConv2D(256, 5, groups=2, padding="same", name="conv2")(x)
    x = layers.ReLU(name="relu2")(x)
    x = LocalResponseNormalization(
        5, alpha=0.0001, beta=0.75, k=2.0, groups=2, name="norm2"
    )(x)
    x = layers.MaxPooling2D(3, strides=2, name="pool2")(x)  # (N, 13, 13, 256)
    x = layers.Conv2D(384, 3, padding="same", name="conv3")(x)  # (N, 13, 13, 384)
    x = layers.ReLU(name="relu3")(x)
    # (N, 13, 13, 384)
    x = GroupedConv2D(384, 3, groups=2, padding="same", name="conv4")(x)
    x = layers.ReLU(name="relu4")(x)
    # (N, 13, 13, 256)
    x = GroupedConv2D(256, 3, groups=2, padding="same", name="conv5")(x)
    x = layers.ReLU(name="relu5")(x)
    x = layers.MaxPooling2D(3, strides=2, name="pool5")(x)  # (N, 6, 6, 256)
    x = layers.Flatten(name="flatten")(x)  # (N, 9216)
    x = layers.Dense(4096, name="fc6")(x)  # (N, 4096)
    x = layers.ReLU(name="relu6")(x)
    x = StandardDropout(0.5, name="drop6")(x)
    x = layers.Dense(4096, name="fc7")(x)
    x = layers.ReLU(name="relu7")(x)
    x = StandardDropout(0.5, name="drop7")(x)
    x = layers.Dense(1000, name="fc8")(x)  # (N, 1000)
    return keras.Model(input, x, name="alexnet")
