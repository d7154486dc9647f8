"""Convolution by kernels of one element at some positions."""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="netspec")
class PointwiseConv2D(layers.Conv2D):
    """Conv2D by kernels of one element, which takes the positions of its strides first.

    Of strided ones with channels that do not come by sixteens, the gradient that
    TensorFlow computes on the CPU (2.21, oneDNN) writes beyond its memory.
    """

    def convolution_op(
        self, inputs: keras.KerasTensor, kernel: keras.KerasTensor
    ) -> keras.KerasTensor:
        rows, columns = self.strides
        parts = zip(
            ops.split(inputs[:, ::rows, ::columns], self.groups, axis=-1),
            ops.split(kernel, self.groups, axis=-1),
        )
        return ops.concatenate([ops.conv(x, k) for x, k in parts], axis=-1)
