"""Batch normalization with the running variance of PyTorch."""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="netspec")
class UnbiasedBatchNormalization(layers.BatchNormalization):
    """BatchNormalization whose moving variance is of variances divided by n - 1.

    What a batch is normalized by in training is divided by n, as everywhere.
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
            others = ops.maximum(count - 1, 1)  # of one value the variance is 0
            self.moving_variance.assign(kept + added * count / others)
        return outputs
