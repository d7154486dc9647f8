"""Layer normalization over any axes."""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="netspec")
class AxisLayerNormalization(layers.LayerNormalization):
    """LayerNormalization over axes that are not the last ones.

    On PyTorch, Keras normalizes the last axes, whichever it is given.
    """

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        mean, variance = ops.moments(inputs, axes=self.axis, keepdims=True)
        outputs = (inputs - mean) * ops.rsqrt(variance + self.epsilon)
        shape = [n if a in self.axis else 1 for a, n in enumerate(inputs.shape)]
        if self.scale:
            outputs = outputs * ops.reshape(self.gamma, shape)
        if self.center:
            outputs = outputs + ops.reshape(self.beta, shape)
        return outputs
