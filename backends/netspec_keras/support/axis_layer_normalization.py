"""Layer normalization over any axes."""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="netspec")
class AxisLayerNormalization(layers.LayerNormalization):
    """LayerNormalization over axes other than the last ones.

    On the PyTorch backend, Keras ignores `axis` and normalizes the last axes.
    """

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        # In mixed precision, statistics are computed in the precision of the weights.
        x = ops.cast(inputs, self.variable_dtype)
        mean, variance = ops.moments(x, axes=self.axis, keepdims=True)
        outputs = (x - mean) * ops.rsqrt(variance + self.epsilon)
        shape = [n if a in self.axis else 1 for a, n in enumerate(inputs.shape)]
        if self.scale:
            outputs = outputs * ops.reshape(self.gamma, shape)
        if self.center:
            outputs = outputs + ops.reshape(self.beta, shape)
        return ops.cast(outputs, self.compute_dtype)
