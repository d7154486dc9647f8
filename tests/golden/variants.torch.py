"""variants: Instances that differ in form and share their code; padding by `same`,
branches that some lack, length

Emitted by netspec from a layer spec; needs torch alone.
"""

import torch
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


class ConvBn(nn.Module):
    """The block `conv_bn`: 26 times, stem.main to deep3.ends.3.scale."""

    def __init__(
        self,
        in_channels: int,
        filters: int,
        kernel: int = 1,
        stride: int = 1,
        padding: int | tuple[int, int, int, int] = 0,
    ) -> None:
        super().__init__()
        self.conv = PaddedConv2d(
            in_channels, filters, kernel_size=kernel, stride=stride, padding=padding
        )
        self.bn = nn.BatchNorm2d(filters)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        x = self.bn(x)
        return x


class Branches(nn.Module):
    """The block `branches`: 14 times, stem to deep3.ends.3."""

    def __init__(
        self,
        in_channels: int,
        filters: int,
        kernel: int = 3,
        stride: int = 1,
        padding: int | tuple[int, int, int, int] = 0,
    ) -> None:
        super().__init__()
        self.kernel = kernel
        has_skip = stride == 1 and in_channels == filters
        self.has_skip = has_skip
        self.main = ConvBn(
            in_channels, filters, kernel=kernel, stride=stride, padding=padding
        )
        self.scale = (
            ConvBn(in_channels, filters, stride=stride) if kernel > 1 else nn.Identity()
        )
        self.skip = nn.BatchNorm2d(in_channels) if has_skip else nn.Identity()

    def forward(self, input: Tensor) -> Tensor:
        main = self.main(input)
        if self.kernel > 1:
            x = self.scale(input)
            main = main + x
        if self.has_skip:
            x = self.skip(input)
            main = main + x
        x = F.relu(main)
        return x


class Deep(nn.Module):
    """The block `deep`: 2 times, deep1 to deep3."""

    def __init__(
        self, filters: int, count: int, stride: int = 1, act: str = "tanh"
    ) -> None:
        super().__init__()
        self.act = act
        self.down = ConvBn(8, filters, stride=stride)
        self.units = nn.Sequential(
            *(Branches(filters, filters, padding=1) for _ in range(count))
        )
        self.ends = nn.Sequential(
            Branches(filters, 2 * filters, kernel=1),
            *(Branches(2 * filters, 2 * filters, padding=1) for _ in range(count)),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.down(x)
        x = self.units(x)
        x = self.ends(x)
        x = torch.tanh(x) if self.act == "tanh" else F.silu(x)
        return x


class Reduce(nn.Module):
    """The block `reduce`: 3 times, same to even."""

    def __init__(self, pad: tuple[int, int, int, int], stride: int = 1) -> None:
        super().__init__()
        self.pad = pad
        self.max = nn.MaxPool2d(kernel_size=3, stride=stride)
        self.mean = PaddedAvgPool2d(
            kernel_size=3, stride=stride, padding=pad, count_include_pad=False
        )

    def forward(self, x: Tensor) -> Tensor:
        max_ = F.pad(x, self.pad, value=float("-inf"))
        max_ = self.max(max_)
        x = self.mean(x)
        x = max_ + x
        return x


class Gated(nn.Module):
    """The block `gated`: 3 times, gated1 to gated3."""

    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.filter = nn.Conv2d(8, 8, kernel_size=(1, 2), dilation=(1, dilation))
        self.skip = nn.Conv2d(8, 3, kernel_size=1)

    def forward(self, input: Tensor) -> tuple[Tensor, Tensor]:
        x = F.pad(input, (self.dilation, 0, 0, 0))
        x = self.filter(x)
        tanh = torch.tanh(x)
        skip = self.skip(tanh)  # (N, 3, 3, 2)
        residual = input + tanh
        return residual, skip


class Variants(nn.Module):
    """(N, 4, 9, 8) to (N, 3, 3, 2), (N, 6, 3, 2), (N, 6, 3, 2), (N, 4, 5, 4); 2,980
    weights.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = Branches(4, 6, stride=2, padding=(0, 1, 1, 1))
        self.stage = nn.Sequential(Branches(6, 6, padding=1), Branches(6, 6, kernel=1))
        self.wide = Branches(6, 8, kernel=1)
        self.deep1 = Deep(3, 1, stride=2)
        self.deep3 = Deep(2, 3, act="silu")
        self.same = Reduce((1, 1, 1, 1))
        self.half_ = Reduce((0, 1, 1, 1), stride=2)
        self.even = Reduce((0, 1, 1, 1), stride=2)
        self.gated1 = Gated(1)
        self.gated2 = Gated(2)
        self.gated3 = Gated(4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        x = self.stem(x)  # (N, 6, 5, 4)
        stage = self.stage(x)
        wide = self.wide(stage)  # (N, 8, 5, 4)
        deep1 = self.deep1(wide)  # (N, 6, 3, 2)
        deep3 = self.deep3(wide)  # (N, 4, 5, 4)
        x = self.same(wide)
        half = self.half_(x)  # (N, 8, 3, 2)
        even = self.even(stage)  # (N, 6, 3, 2)
        gated1_residual, gated1_skip = self.gated1(half)
        gated2_residual, gated2_skip = self.gated2(gated1_residual)
        _, gated3_skip = self.gated3(gated2_residual)
        sum = gated1_skip + gated2_skip + gated3_skip
        return sum, even, deep1, deep3
