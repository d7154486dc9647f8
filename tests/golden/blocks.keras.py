"""blocks: Blocks in every shape; a stack of one, one that skips, inputs and outputs
by name, and layers that some lack

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


def squeeze(input: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """The block `squeeze`: units.4.squeeze."""
    # (N, 1, 1, 6)
    x = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}-pool")(input)
    x = layers.Conv2D(3, 1, name=f"{name}-fc")(x)  # (N, 1, 1, 3)
    x = layers.ReLU(name=f"{name}-relu")(x)
    x = layers.Conv2D(6, 1, name=f"{name}-expand")(x)  # (N, 1, 1, 6)
    x = layers.Activation("sigmoid", name=f"{name}-gate")(x)
    x = layers.Multiply(name=f"{name}-scale")([input, x])
    return x


def unit(
    x: keras.KerasTensor,
    filters: int,
    name: str,
    stride: int = 1,
    kernel: int = 3,
    squeeze_: bool = False,
) -> keras.KerasTensor:
    """The block `unit`: 7 times, units.0 to self."""
    if kernel // 2 > 0:
        x = layers.ZeroPadding2D(kernel // 2, name=f"{name}-conv_pad")(x)
    x = layers.Conv2D(filters, kernel, strides=stride, name=f"{name}-conv")(x)
    x = UnbiasedBatchNormalization(
        momentum=0.9, epsilon=0.001 if squeeze_ else 1e-5, name=f"{name}-norm"
    )(x)
    if squeeze_:
        x = squeeze(x, name=f"{name}-squeeze")
    x = layers.ReLU(name=f"{name}-act")(x)
    return x


def split(x: keras.KerasTensor, name: str) -> tuple[keras.KerasTensor, ...]:
    """The block `split`: 2 times, split to again."""
    left = layers.Activation("tanh", name=f"{name}-left")(x)
    right = layers.Conv2D(4, 1, name=f"{name}-right")(x)  # (N, 4, 3, 4)
    return right, left


def merge(
    deep: keras.KerasTensor, skip: keras.KerasTensor, name: str, bias: bool = False
) -> keras.KerasTensor:
    """The block `merge`: 2 times, merged.0 to merged.1."""
    x = layers.Conv2D(6, 1, use_bias=bias, name=f"{name}-conv")(deep)  # (N, 4, 3, 6)
    x = layers.Add(name=f"{name}-sum")([x, skip])
    return x


def swap(
    x: keras.KerasTensor, y: keras.KerasTensor, name: str
) -> tuple[keras.KerasTensor, ...]:
    """The block `swap`: 3 times, crossed.0 to crossed.2."""
    a = layers.Activation("tanh", name=f"{name}-a")(x)
    b = layers.ReLU(name=f"{name}-b")(y)
    return b, a


def build_blocks() -> keras.Model:
    """(N, 8, 6, 4) to (N, 3), (N, 4, 3, 3); 1,337 weights."""
    input = keras.Input((8, 6, 4), name="input")
    x = unit(input, 4, kernel=1, name="units-0")
    for i in range(1, 4):
        x = unit(x, 4, name=f"units-{i}")
    x = unit(x, 6, stride=2, squeeze_=True, name="units-4")  # (N, 4, 3, 6)
    split_right, split_left = split(x, name="split")
    again_right, again_left = split(split_right, name="again")
    merged = merge(again_left, split_left, name="merged-0")
    merged = merge(merged, split_left, bias=True, name="merged-1")
    crossed_b, crossed_a = swap(again_right, split_right, name="crossed-0")
    crossed_b, crossed_a = swap(crossed_b, crossed_a, name="crossed-1")
    crossed_b, crossed_a = swap(crossed_b, crossed_a, name="crossed-2")
    x = layers.Add(name="both")([crossed_a, crossed_b])
    one = unit(x, 3, kernel=1, name="one-0")  # (N, 4, 3, 3)
    x = unit(one, 4, name="self")  # (N, 4, 3, 4)
    x = layers.Conv2D(6, 1, name="cut")(x)  # (N, 4, 3, 6)
    x = layers.Add(name="sum-layer")([x, merged])
    x = layers.Flatten(name="features")(x)  # (N, 72)
    fc = layers.Dense(3, name="fc")(x)  # (N, 3)
    return keras.Model(input, [fc, one], name="blocks")
