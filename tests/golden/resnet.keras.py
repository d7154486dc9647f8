"""resnet50: He, Zhang, Ren & Sun 2016, Deep Residual Learning for Image
Recognition, table 1; stride in the 3x3 convolution (v1.5)

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


@keras.saving.register_keras_serializable(package="netspec")
class MinusInfinityPadding2D(layers.ZeroPadding2D):
    """ZeroPadding2D with minus infinity, which max pooling never selects."""

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        sides = ((0, 0), *self.padding, (0, 0))
        return ops.pad(inputs, sides, constant_values=float("-inf"))


def projection(
    x: keras.KerasTensor, filters: int, name: str, stride: int = 1
) -> keras.KerasTensor:
    """The block `projection`: 4 times, layer1.0.downsample to layer4.0.downsample."""
    x = layers.Conv2D(filters, 1, strides=stride, use_bias=False, name=f"{name}-conv")(
        x
    )
    x = UnbiasedBatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}-bn")(x)
    return x


def bottleneck(
    x: keras.KerasTensor, width: int, name: str, stride: int = 1
) -> keras.KerasTensor:
    """The block `bottleneck`: 16 times, layer1.0 to layer4.2."""
    channels = x.shape[-1]
    out = 4 * width
    has_downsample = stride > 1 or channels != out
    downsample = (
        projection(x, out, stride=stride, name=f"{name}-downsample")
        if has_downsample
        else x
    )
    x = layers.Conv2D(width, 1, use_bias=False, name=f"{name}-conv1")(x)
    x = UnbiasedBatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}-bn1")(x)
    x = layers.ReLU(name=f"{name}-relu1")(x)
    x = layers.ZeroPadding2D(1, name=f"{name}-conv2_pad")(x)
    x = layers.Conv2D(width, 3, strides=stride, use_bias=False, name=f"{name}-conv2")(x)
    x = UnbiasedBatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}-bn2")(x)
    x = layers.ReLU(name=f"{name}-relu2")(x)
    x = layers.Conv2D(out, 1, use_bias=False, name=f"{name}-conv3")(x)
    x = UnbiasedBatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}-bn3")(x)
    x = layers.Add(name=f"{name}-sum")([x, downsample])
    x = layers.ReLU(name=f"{name}-relu")(x)
    return x


def build_resnet50() -> keras.Model:
    """(N, 224, 224, 3) to (N, 1000); 25,610,152 weights."""
    input = keras.Input((224, 224, 3), name="input")
    x = layers.ZeroPadding2D(3, name="conv1_pad")(input)  # (N, 230, 230, 3)
    # (N, 112, 112, 64)
    x = layers.Conv2D(64, 7, strides=2, use_bias=False, name="conv1")(x)
    x = UnbiasedBatchNormalization(momentum=0.9, epsilon=1e-5, name="bn1")(x)
    x = layers.ReLU(name="relu")(x)
    x = MinusInfinityPadding2D(1, name="maxpool_pad")(x)  # (N, 114, 114, 64)
    x = layers.MaxPooling2D(3, strides=2, name="maxpool")(x)  # (N, 56, 56, 64)
    x = bottleneck(x, 64, name="layer1-0")  # (N, 56, 56, 256)
    x = bottleneck(x, 64, name="layer1-1")
    x = bottleneck(x, 64, name="layer1-2")
    x = bottleneck(x, 128, stride=2, name="layer2-0")  # (N, 28, 28, 512)
    for i in range(1, 4):
        x = bottleneck(x, 128, name=f"layer2-{i}")
    x = bottleneck(x, 256, stride=2, name="layer3-0")  # (N, 14, 14, 1024)
    for i in range(1, 6):
        x = bottleneck(x, 256, name=f"layer3-{i}")
    x = bottleneck(x, 512, stride=2, name="layer4-0")  # (N, 7, 7, 2048)
    x = bottleneck(x, 512, name="layer4-1")
    x = bottleneck(x, 512, name="layer4-2")
    x = layers.GlobalAveragePooling2D(name="average")(x)  # (N, 2048)
    x = layers.Dense(1000, name="fc")(x)  # (N, 1000)
    return keras.Model(input, x, name="resnet50")
