"""Root mean square normalization over any axes."""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="netspec")
class AxisRMSNormalization(layers.RMSNormalization):
    """RMSNormalization over axes other than the last ones.

    Keras ignores `axis` when it applies the scale, and multiplies the last axes.
    """

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        outputs = ops.rms_normalization(x, axis=self.axis, epsilon=self.epsilon)
        shape = [n if a in self.axis else 1 for a, n in enumerate(x.shape)]
        return outputs * ops.reshape(self.scale, shape)
