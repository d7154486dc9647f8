"""Average pooling with padding that `nn.AvgPool2d` does not take."""

import torch.nn.functional as F
from torch import Tensor, nn


class PaddedAvgPool2d(nn.Module):
    """Average pooling with any padding, divided by the number of elements that count.

    `padding` is (left, right, top, bottom) and counts if `count_include_pad`; the last
    windows may hang over by `overhang`, (right, bottom), which does not count.

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
        """The sum over each window, by the same sum over a map of ones."""
        ones = x.new_ones((1, 1, x.shape[2], x.shape[3]))
        total = self.sum(F.pad(x, self.padding))
        pad_counts = float(self.count_include_pad)
        return total / self.sum(F.pad(ones, self.padding, value=pad_counts))

    def sum(self, x: Tensor) -> Tensor:
        """The sum over each window of a padded map."""
        x = F.pad(x, self.overhang)
        return F.avg_pool2d(x, self.kernel_size, self.stride, divisor_override=1)
