"""Depthwise convolution with both strides and a dilation."""

from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="netspec")
class DilatedDepthwiseConv2D(layers.DepthwiseConv2D):
    """DepthwiseConv2D that takes strides and a dilation together, which it refuses.

    It computes all positions and keeps every `strides`-th; without a dilation, those
    only.
    """

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        strides: int | tuple[int, int] = 1,
        depth_multiplier: int = 1,
        dilation_rate: int | tuple[int, int] = 1,
        use_bias: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            kernel_size,
            depth_multiplier=depth_multiplier,
            dilation_rate=dilation_rate,
            use_bias=use_bias,
            **kwargs,
        )
        both = (strides, strides)
        self.strides = both if isinstance(strides, int) else tuple(strides)

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        if tuple(self.dilation_rate) == (1, 1):
            return super().call(inputs)
        rows, columns = self.strides
        x = ops.depthwise_conv(inputs, self.kernel, dilation_rate=self.dilation_rate)
        x = x[:, ::rows, ::columns]
        return x + self.bias if self.use_bias else x
