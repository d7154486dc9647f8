"""Batch normalization with an unbiased moving variance, as in PyTorch."""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="netspec")
class UnbiasedBatchNormalization(layers.BatchNormalization):
    """BatchNormalization whose moving variance averages unbiased batch variances.

    The unbiased variance divides by n - 1, as in PyTorch. In training, a batch is still
    normalized by its biased variance.
    """

    def call(
        self, inputs: keras.KerasTensor, training: bool | None = None
    ) -> keras.KerasTensor:
        kept = self.moving_variance * self.momentum
        outputs = super().call(inputs, training=training)
        if training and self.trainable:
            channels = inputs.shape[self.axis]
            count = ops.cast(ops.size(inputs) // channels, self.variable_dtype)
            added = self.moving_variance - kept
            degrees = ops.maximum(count - 1, 1)  # the variance of one value is 0
            self.moving_variance.assign(kept + added * count / degrees)
        return outputs
