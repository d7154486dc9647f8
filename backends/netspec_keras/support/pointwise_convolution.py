"""Strided convolution with a kernel of one element."""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="netspec")
class PointwiseConv2D(layers.Conv2D):
    """Conv2D with a 1x1 kernel and strides, computed as a slice and a convolution.

    With strides, and channels that are not a multiple of 16, the gradient kernel of
    TensorFlow 2.21 on a CPU (oneDNN) writes out of bounds.
    """

    def convolution_op(
        self, inputs: keras.KerasTensor, kernel: keras.KerasTensor
    ) -> keras.KerasTensor:
        rows, columns = self.strides
        groups = zip(
            ops.split(inputs[:, ::rows, ::columns], self.groups, axis=-1),
            ops.split(kernel, self.groups, axis=-1),
        )
        return ops.concatenate([ops.conv(x, k) for x, k in groups], axis=-1)
