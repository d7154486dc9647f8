"""variants: Instances that differ in form and share their code; padding by `same`,
branches that some lack, length

Emitted by netspec from a layer spec; needs keras alone.
"""

from typing import Any

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
class CountingAveragePooling2D(layers.Layer):
    """AveragePooling2D with explicit zero padding, of which only a part is counted.

    The sum over a window is divided by the number of its elements in the map and in the
    innermost `counted` rows and columns of `pad`, both ((top, bottom), (left, right)).
    """

    def __init__(
        self,
        pool_size: int | tuple[int, int],
        strides: int | tuple[int, int],
        pad: tuple[tuple[int, int], tuple[int, int]],
        counted: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0)),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pool_size = _pair(pool_size)
        self.strides = _pair(strides)
        self.pad = tuple(map(tuple, pad))
        self.counted = tuple(map(tuple, counted))

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        padded = ops.pad(inputs, ((0, 0), *self.pad, (0, 0)))
        means = ops.average_pool(
            padded, self.pool_size, strides=self.strides, data_format="channels_last"
        )
        rows, columns = self.scales(0, inputs.shape[1]), self.scales(1, inputs.shape[2])
        scales = [[[row * column] for column in columns] for row in rows]
        return means * ops.convert_to_tensor(scales, dtype=self.compute_dtype)

    def scales(self, axis: int, length: int) -> list[float]:
        """Return window size / counted elements for each window along an axis."""
        size, stride = self.pool_size[axis], self.strides[axis]
        before, after = self.pad[axis]
        first = before - self.counted[axis][0]
        last = before + length + self.counted[axis][1]
        starts = range(0, before + length + after - size + 1, stride)
        return [size / (min(s + size, last) - max(s, first)) for s in starts]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "pool_size": self.pool_size,
            "strides": self.strides,
            "pad": self.pad,
            "counted": self.counted,
        }


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def conv_bn(
    x: keras.KerasTensor, filters: int, name: str, kernel: int = 1, stride: int = 1
) -> keras.KerasTensor:
    """The block `conv_bn`: 26 times, stem.main to deep3.ends.3.scale."""
    x = layers.Conv2D(
        filters, kernel, strides=stride, padding="same", name=f"{name}-conv"
    )(x)
    x = UnbiasedBatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}-bn")(x)
    return x


def branches(
    input: keras.KerasTensor, filters: int, name: str, kernel: int = 3, stride: int = 1
) -> keras.KerasTensor:
    """The block `branches`: 14 times, stem to deep3.ends.3."""
    channels = input.shape[-1]
    has_skip = stride == 1 and channels == filters
    main = conv_bn(input, filters, kernel=kernel, stride=stride, name=f"{name}-main")
    if kernel > 1:
        x = conv_bn(input, filters, stride=stride, name=f"{name}-scale")
        main = layers.Add(name=f"{name}-scaled")([main, x])
    if has_skip:
        x = UnbiasedBatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}-skip")(
            input
        )
        main = layers.Add(name=f"{name}-skipped")([main, x])
    x = layers.ReLU(name=f"{name}-relu")(main)
    return x


def deep(
    x: keras.KerasTensor,
    filters: int,
    count: int,
    name: str,
    stride: int = 1,
    act: str = "tanh",
) -> keras.KerasTensor:
    """The block `deep`: 2 times, deep1 to deep3."""
    x = conv_bn(x, filters, stride=stride, name=f"{name}-down")
    for i in range(count):
        x = branches(x, filters, name=f"{name}-units-{i}")
    x = branches(x, 2 * filters, kernel=1, name=f"{name}-ends-0")
    for i in range(1, count + 1):
        x = branches(x, 2 * filters, name=f"{name}-ends-{i}")
    x = (
        layers.Activation("tanh", name=f"{name}-tanh")(x)
        if act == "tanh"
        else layers.Activation("silu", name=f"{name}-silu")(x)
    )
    return x


def reduce(
    x: keras.KerasTensor,
    pad: tuple[tuple[int, int], tuple[int, int]],
    name: str,
    stride: int = 1,
) -> keras.KerasTensor:
    """The block `reduce`: 3 times, same to even."""
    max_ = layers.MaxPooling2D(3, strides=stride, padding="same", name=f"{name}-max")(x)
    x = CountingAveragePooling2D(3, strides=stride, pad=pad, name=f"{name}-mean")(x)
    x = layers.Add(name=f"{name}-sum")([max_, x])
    return x


def gated(
    input: keras.KerasTensor, dilation: int, name: str
) -> tuple[keras.KerasTensor, ...]:
    """The block `gated`: 3 times, gated1 to gated3."""
    x = layers.ZeroPadding2D(((0, 0), (dilation, 0)), name=f"{name}-filter_pad")(input)
    # (N, 3, 2, 8)
    x = layers.Conv2D(8, (1, 2), dilation_rate=(1, dilation), name=f"{name}-filter")(x)
    tanh = layers.Activation("tanh", name=f"{name}-tanh")(x)
    skip = layers.Conv2D(3, 1, name=f"{name}-skip")(tanh)  # (N, 3, 2, 3)
    residual = layers.Add(name=f"{name}-residual")([input, tanh])
    return residual, skip


def build_variants() -> keras.Model:
    """(N, 9, 8, 4) to 4 outputs; 2,980 weights."""
    input = keras.Input((9, 8, 4), name="input")
    x = branches(input, 6, stride=2, name="stem")  # (N, 5, 4, 6)
    stage = branches(x, 6, name="stage-0")
    stage = branches(stage, 6, kernel=1, name="stage-1")
    wide = branches(stage, 8, kernel=1, name="wide")  # (N, 5, 4, 8)
    deep1 = deep(wide, 3, 1, stride=2, name="deep1")  # (N, 3, 2, 6)
    deep3 = deep(wide, 2, 3, act="silu", name="deep3")  # (N, 5, 4, 4)
    x = reduce(wide, ((1, 1), (1, 1)), name="same")
    half = reduce(x, ((1, 1), (0, 1)), stride=2, name="half")  # (N, 3, 2, 8)
    even = reduce(stage, ((1, 1), (0, 1)), stride=2, name="even")  # (N, 3, 2, 6)
    gated1_residual, gated1_skip = gated(half, 1, name="gated1")
    gated2_residual, gated2_skip = gated(gated1_residual, 2, name="gated2")
    _, gated3_skip = gated(gated2_residual, 4, name="gated3")
    sum = layers.Add(name="sum-layer")([gated1_skip, gated2_skip, gated3_skip])
    return keras.Model(input, [sum, even, deep1, deep3], name="variants")
