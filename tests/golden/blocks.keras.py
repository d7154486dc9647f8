"""blocks: Blocks in every shape; a stack of one, one that skips, inputs and outputs
by name, and layers that some lack

Emitted by netspec from a layer spec; needs keras alone.
"""

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
            self.moving_variance.assign(kept + added * count / (count - 1))
        return outputs


def build_blocks() -> keras.Model:
    """(N, 8, 6, 4) to (N, 3), (N, 4, 3, 3); 1,337 weights."""
    input = keras.Input((8, 6, 4), name="input")
    x = layers.Conv2D(4, 1, name="units.0.conv")(input)  # (N, 8, 6, 4)
    x = UnbiasedBatchNormalization(momentum=0.9, epsilon=1e-05, name="units.0.norm")(x)
    x = layers.ReLU(name="units.0.act")(x)
    x = layers.Conv2D(4, 3, padding="same", name="units.1.conv")(x)  # (N, 8, 6, 4)
    x = UnbiasedBatchNormalization(momentum=0.9, epsilon=1e-05, name="units.1.norm")(x)
    x = layers.ReLU(name="units.1.act")(x)
    x = layers.Conv2D(4, 3, padding="same", name="units.2.conv")(x)  # (N, 8, 6, 4)
    x = UnbiasedBatchNormalization(momentum=0.9, epsilon=1e-05, name="units.2.norm")(x)
    x = layers.ReLU(name="units.2.act")(x)
    x = layers.Conv2D(4, 3, padding="same", name="units.3.conv")(x)  # (N, 8, 6, 4)
    x = UnbiasedBatchNormalization(momentum=0.9, epsilon=1e-05, name="units.3.norm")(x)
    x = layers.ReLU(name="units.3.act")(x)
    x = layers.ZeroPadding2D(1, name="units.4.conv_pad")(x)  # (N, 10, 8, 4)
    x = layers.Conv2D(6, 3, strides=2, name="units.4.conv")(x)  # (N, 4, 3, 6)
    units_4_norm = UnbiasedBatchNormalization(
        momentum=0.9, epsilon=0.001, name="units.4.norm"
    )(x)
    x = layers.GlobalAveragePooling2D(keepdims=True, name="units.4.squeeze.pool")(
        units_4_norm
    )  # (N, 1, 1, 6)
    x = layers.Conv2D(3, 1, name="units.4.squeeze.fc")(x)  # (N, 1, 1, 3)
    x = layers.ReLU(name="units.4.squeeze.relu")(x)
    x = layers.Conv2D(6, 1, name="units.4.squeeze.expand")(x)  # (N, 1, 1, 6)
    x = layers.Activation("sigmoid", name="units.4.squeeze.gate")(x)
    x = layers.Multiply(name="units.4.squeeze.scale")([units_4_norm, x])
    units_4_act = layers.ReLU(name="units.4.act")(x)
    split_left = layers.Activation("tanh", name="split.left")(units_4_act)
    split_right = layers.Conv2D(4, 1, name="split.right")(units_4_act)  # (N, 4, 3, 4)
    again_left = layers.Activation("tanh", name="again.left")(split_right)
    again_right = layers.Conv2D(4, 1, name="again.right")(split_right)  # (N, 4, 3, 4)
    # (N, 4, 3, 6)
    x = layers.Conv2D(6, 1, use_bias=False, name="merged.0.conv")(again_left)
    x = layers.Add(name="merged.0.sum")([x, split_left])
    x = layers.Conv2D(6, 1, name="merged.1.conv")(x)  # (N, 4, 3, 6)
    merged_1_sum = layers.Add(name="merged.1.sum")([x, split_left])
    crossed_0_a = layers.Activation("tanh", name="crossed.0.a")(again_right)
    x = layers.ReLU(name="crossed.0.b")(split_right)
    crossed_1_a = layers.Activation("tanh", name="crossed.1.a")(x)
    x = layers.ReLU(name="crossed.1.b")(crossed_0_a)
    crossed_2_a = layers.Activation("tanh", name="crossed.2.a")(x)
    x = layers.ReLU(name="crossed.2.b")(crossed_1_a)
    x = layers.Add(name="both")([crossed_2_a, x])
    x = layers.Conv2D(3, 1, name="one.0.conv")(x)  # (N, 4, 3, 3)
    x = UnbiasedBatchNormalization(momentum=0.9, epsilon=1e-05, name="one.0.norm")(x)
    one_0_act = layers.ReLU(name="one.0.act")(x)
    x = layers.Conv2D(4, 3, padding="same", name="self.conv")(one_0_act)  # (N, 4, 3, 4)
    x = UnbiasedBatchNormalization(momentum=0.9, epsilon=1e-05, name="self.norm")(x)
    x = layers.ReLU(name="self.act")(x)
    x = layers.Conv2D(6, 1, name="cut")(x)  # (N, 4, 3, 6)
    x = layers.Add(name="sum")([x, merged_1_sum])
    x = layers.Flatten(name="features")(x)  # (N, 72)
    fc = layers.Dense(3, name="fc")(x)  # (N, 3)
    return keras.Model(input, [fc, one_0_act], name="blocks")
