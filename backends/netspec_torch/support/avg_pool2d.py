"""Average pooling with asymmetric padding, which `nn.AvgPool2d` lacks."""

import torch.nn.functional as F
from torch import Tensor, nn


class PaddedAvgPool2d(nn.Module):
    """`nn.AvgPool2d` with a separate padding for each side.

    `padding` is (left, right, top, bottom), and part of the average if
    `count_include_pad`. `overhang`, (right, bottom), is further padding that completes
    the last windows, and never part of the average.

    Shapes: x (N, C, H, W) to (N, C, H', W').
    """

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int],
        padding: tuple[int, int, int, int],
        overhang: tuple[int, int] = (0, 0),
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding
        self.overhang = (0, overhang[0], 0, overhang[1])
        self.count_include_pad = count_include_pad

    def forward(self, x: Tensor) -> Tensor:
        """Divide each window's sum by its count, which is the sum of a map of ones."""
        ones = x.new_ones((1, 1, x.shape[2], x.shape[3]))
        pad_value = float(self.count_include_pad)
        total = self.sum(F.pad(x, self.padding))
        return total / self.sum(F.pad(ones, self.padding, value=pad_value))

    def sum(self, x: Tensor) -> Tensor:
        """Return the sum over each window of a padded map."""
        x = F.pad(x, self.overhang)
        return F.avg_pool2d(x, self.kernel_size, self.stride, divisor_override=1)
