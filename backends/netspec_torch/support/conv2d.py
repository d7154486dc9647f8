# mypy: disable-error-code="no-untyped-call,no-any-return"
"""Convolution with asymmetric padding, which `nn.Conv2d` lacks."""

import torch.nn.functional as F
from torch import Tensor, nn


class PaddedConv2d(nn.Conv2d):
    """`nn.Conv2d` with a separate zero padding for each side.

    `padding` is one number for all sides, or (left, right, top, bottom). Symmetric
    padding is left to the convolution kernel, which is faster than a separate `F.pad`.

    Shapes: x (N, C, H, W) to (N, out_channels, H', W').
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int, int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        sides = (padding,) * 4 if isinstance(padding, int) else padding
        left, right, top, bottom = sides
        symmetric = left == right and top == bottom
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            (top, left) if symmetric else 0,
            dilation,
            groups,
            bias,
        )
        self.sides = (0, 0, 0, 0) if symmetric else sides

    def forward(self, input: Tensor) -> Tensor:
        """Convolve the padded map."""
        if any(self.sides):
            input = F.pad(input, self.sides)
        return self._conv_forward(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        """The arguments, for `print(model)`."""
        sides = f", sides={self.sides}" if any(self.sides) else ""
        return super().extra_repr() + sides
