"""Transposed convolution with every option of PyTorch and ONNX."""

from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="netspec")
class CroppedConv2DTranspose(layers.Layer):
    """Conv2DTranspose with groups, dilation and a separate crop for each side.

    The function and kernel are those of Conv2DTranspose with `padding="valid"`; then
    `output_padding` rows and columns are added at the end, and `crop`, ((top, bottom),
    (left, right)), is cut off. It is computed as a convolution, by the flipped kernel,
    of the inputs with zeros inserted between them.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, int],
        strides: int | tuple[int, int] = 1,
        crop: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0)),
        output_padding: tuple[int, int] = (0, 0),
        dilation_rate: int | tuple[int, int] = 1,
        groups: int = 1,
        use_bias: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = _pair(kernel_size)
        self.strides = _pair(strides)
        self.crop = tuple(map(tuple, crop))
        self.output_padding = tuple(output_padding)
        self.dilation_rate = _pair(dilation_rate)
        self.groups = groups
        self.use_bias = use_bias

    def build(self, input_shape: tuple[int, ...]) -> None:
        self.kernel = self.add_weight(
            name="kernel",
            shape=(*self.kernel_size, self.filters // self.groups, input_shape[-1]),
            initializer="glorot_uniform",
        )
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias", shape=(self.filters,), initializer="zeros"
            )

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        spread = self.spread(inputs)
        flipped = ops.transpose(ops.flip(self.kernel, (0, 1)), (0, 1, 3, 2))
        groups = zip(
            ops.split(spread, self.groups, axis=-1),
            ops.split(flipped, self.groups, axis=2),
        )
        convolved = [
            ops.conv(
                x, k, data_format="channels_last", dilation_rate=self.dilation_rate
            )
            for x, k in groups
        ]
        outputs = ops.concatenate(convolved, axis=-1)
        return outputs + self.bias if self.use_bias else outputs

    def spread(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Insert the zeros of the strides, and pad or crop to what the kernels read."""
        _, height, width, channels = inputs.shape
        stride_h, stride_w = self.strides
        x = ops.reshape(inputs, (-1, height, 1, width, 1, channels))
        zeros = ((0, 0), (0, 0), (0, stride_h - 1), (0, 0), (0, stride_w - 1), (0, 0))
        x = ops.reshape(
            ops.pad(x, zeros), (-1, height * stride_h, width * stride_w, channels)
        )
        (top, bottom), (left, right) = (self.padding_along(axis) for axis in (0, 1))
        pad = ((max(0, top), max(0, bottom)), (max(0, left), max(0, right)))
        x = ops.pad(x, ((0, 0), *pad, (0, 0)))
        rows = slice(max(0, -top), x.shape[1] - max(0, -bottom))
        columns = slice(max(0, -left), x.shape[2] - max(0, -right))
        return x[:, rows, columns]

    def padding_along(self, axis: int) -> tuple[int, int]:
        """Return the zeros to pad before and after an axis; a negative number crops."""
        reach = self.dilation_rate[axis] * (self.kernel_size[axis] - 1)
        before, after = self.crop[axis]
        inserted = self.strides[axis] - 1  # zeros already behind the last element
        return reach - before, reach - after - inserted + self.output_padding[axis]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "crop": self.crop,
            "output_padding": self.output_padding,
            "dilation_rate": self.dilation_rate,
            "groups": self.groups,
            "use_bias": self.use_bias,
        }


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[1])
