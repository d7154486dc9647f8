"""heads: a classifier with two auxiliary heads, as GoogLeNet (Szegedy et al. 2015,
section 5) has them

Emitted by netspec from a layer spec; needs keras alone.
"""

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


def head(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """The block `head`: aux1."""
    x = layers.AveragePooling2D(2, name=f"{name}-pool")(x)  # (N, 6, 6, 8)
    x = layers.Conv2D(4, 1, name=f"{name}-conv")(x)  # (N, 6, 6, 4)
    x = layers.ReLU(name=f"{name}-relu")(x)
    x = layers.Flatten(name=f"{name}-flatten")(x)  # (N, 144)
    x = layers.Dropout(0.7, name=f"{name}-drop")(x)
    x = layers.Dense(5, name=f"{name}-fc")(x)  # (N, 5)
    return x


def build_heads() -> keras.Model:
    """(N, 24, 24, 3) to (N, 5), and 2 auxiliary for training; 2,443 weights."""
    input = keras.Input((24, 24, 3), name="input")
    x = layers.ZeroPadding2D(1, name="conv1_pad")(input)  # (N, 26, 26, 3)
    x = layers.Conv2D(8, 3, strides=2, name="conv1")(x)  # (N, 12, 12, 8)
    relu1 = layers.ReLU(name="relu1")(x)
    x = layers.Conv2D(8, 3, padding="same", name="conv2")(relu1)  # (N, 12, 12, 8)
    x = UnbiasedBatchNormalization(momentum=0.9, epsilon=1e-5, name="bn2")(x)
    relu2 = layers.ReLU(name="relu2")(x)
    x = layers.GlobalAveragePooling2D(name="average")(relu2)  # (N, 8)
    x = layers.Dense(5, name="fc")(x)  # (N, 5)
    prob = layers.Softmax(name="prob")(x)
    aux1 = head(relu1, name="aux1")  # (N, 5)
    x = layers.Conv2D(4, 3, strides=2, name="aux2_conv")(relu2)  # (N, 5, 5, 4)
    x = layers.Flatten(name="aux2_flatten")(x)  # (N, 100)
    x = layers.Dense(5, name="aux2_fc")(x)  # (N, 5)
    aux2 = layers.Softmax(name="aux2")(x)
    return keras.Model(input, [prob, aux1, aux2], name="heads")
