"""Convolution with both strides and a dilation."""

from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="netspec")
class DilatedConv2D(layers.Conv2D):
    """Conv2D that takes strides and a dilation together, which Conv2D refuses.

    It computes all positions and keeps every `strides`-th; without a dilation, those
    only.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, int],
        strides: int | tuple[int, int] = 1,
        dilation_rate: int | tuple[int, int] = 1,
        groups: int = 1,
        use_bias: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            filters,
            kernel_size,
            dilation_rate=dilation_rate,
            groups=groups,
            use_bias=use_bias,
            **kwargs,
        )
        both = (strides, strides)
        self.strides = both if isinstance(strides, int) else tuple(strides)

    def convolution_op(
        self, inputs: keras.KerasTensor, kernel: keras.KerasTensor
    ) -> keras.KerasTensor:
        rows, columns = self.strides
        dilated = tuple(self.dilation_rate) != (1, 1)
        groups = zip(
            ops.split(inputs, self.groups, axis=-1),
            ops.split(kernel, self.groups, axis=-1),
        )
        strides = 1 if dilated else self.strides
        rate = self.dilation_rate
        outputs = [ops.conv(x, k, strides, dilation_rate=rate) for x, k in groups]
        x = ops.concatenate(outputs, axis=-1)
        return x[:, ::rows, ::columns] if dilated else x
