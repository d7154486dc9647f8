"""Transposed convolution with all that PyTorch and ONNX can say of it."""

from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="netspec")
class CroppedConv2DTranspose(layers.Layer):
    """Transposed convolution in groups, with dilation, cropped on each side alone.

    The same function and kernel as Conv2DTranspose with `padding="valid"`, of which
    `crop`, ((top, bottom), (left, right)), is cut off after `output_padding` rows and
    columns are added at the end. It is a convolution of the inputs with zeros between
    them, by the kernel turned around.
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
        turned = ops.transpose(ops.flip(self.kernel, (0, 1)), (0, 1, 3, 2))
        parts = zip(
            ops.split(spread, self.groups, axis=-1),
            ops.split(turned, self.groups, axis=2),
        )
        convolved = [
            ops.conv(
                x, k, data_format="channels_last", dilation_rate=self.dilation_rate
            )
            for x, k in parts
        ]
        outputs = ops.concatenate(convolved, axis=-1)
        return outputs + self.bias if self.use_bias else outputs

    def spread(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Inputs with zeros between and around them, as far as kernels read them."""
        _, height, width, channels = inputs.shape
        down, across = self.strides
        x = ops.reshape(inputs, (-1, height, 1, width, 1, channels))
        zeros = ((0, 0), (0, 0), (0, down - 1), (0, 0), (0, across - 1), (0, 0))
        x = ops.reshape(
            ops.pad(x, zeros), (-1, height * down, width * across, channels)
        )
        (top, bottom), (left, right) = (self.around(axis) for axis in (0, 1))
        pad = ((max(0, top), max(0, bottom)), (max(0, left), max(0, right)))
        x = ops.pad(x, ((0, 0), *pad, (0, 0)))
        rows = slice(max(0, -top), x.shape[1] - max(0, -bottom))
        columns = slice(max(0, -left), x.shape[2] - max(0, -right))
        return x[:, rows, columns]

    def around(self, axis: int) -> tuple[int, int]:
        """Zeros before and after along an axis; below none, elements cut off."""
        reach = self.dilation_rate[axis] * (self.kernel_size[axis] - 1)
        before, after = self.crop[axis]
        beyond = self.strides[axis] - 1  # zeros that stand behind the last element
        return reach - before, reach - after - beyond + self.output_padding[axis]

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
