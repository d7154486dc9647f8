"""blocks: Blocks in every shape; a stack of one, one that skips, inputs and outputs
by name, and layers that some lack

Emitted by netspec from a layer spec; needs torch alone.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Squeeze(nn.Module):
    """The block `squeeze`: units.4.squeeze."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Conv2d(6, 3, kernel_size=1)
        self.expand = nn.Conv2d(3, 6, kernel_size=1)

    def forward(self, input: Tensor) -> Tensor:
        x = torch.mean(input, dim=(2, 3), keepdim=True)  # (N, 6, 1, 1)
        x = self.fc(x)  # (N, 3, 1, 1)
        x = F.relu(x)
        x = self.expand(x)  # (N, 6, 1, 1)
        x = torch.sigmoid(x)
        x = input * x
        return x


class Unit(nn.Module):
    """The block `unit`: 7 times, units.0 to self."""

    def __init__(
        self,
        in_channels: int,
        filters: int,
        stride: int = 1,
        kernel: int = 3,
        squeeze: bool = False,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels, filters, kernel_size=kernel, stride=stride, padding=kernel // 2
        )
        self.norm = nn.BatchNorm2d(filters, eps=0.001 if squeeze else 1e-5)
        self.squeeze = Squeeze() if squeeze else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        x = self.norm(x)
        x = self.squeeze(x)
        x = F.relu(x)
        return x


class Split(nn.Module):
    """The block `split`: 2 times, split to again."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.right = nn.Conv2d(in_channels, 4, kernel_size=1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        left = torch.tanh(x)
        right = self.right(x)
        return right, left


class Merge(nn.Module):
    """The block `merge`: 2 times, merged.0 to merged.1."""

    def __init__(self, in_channels: int, bias: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, 6, kernel_size=1, bias=bias)

    def forward(self, deep: Tensor, skip: Tensor) -> Tensor:
        x = self.conv(deep)
        x = x + skip
        return x


class Swap(nn.Module):
    """The block `swap`: 3 times, crossed.0 to crossed.2."""

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        a = torch.tanh(x)
        b = F.relu(y)
        return b, a


class Blocks(nn.Module):
    """(N, 4, 8, 6) to (N, 3), (N, 3, 4, 3); 1,337 weights."""

    def __init__(self) -> None:
        super().__init__()
        self.units = nn.Sequential(
            Unit(4, 4, kernel=1),
            *(Unit(4, 4) for _ in range(3)),
            Unit(4, 6, stride=2, squeeze=True),
        )
        self.split = Split(6)
        self.again = Split(4)
        self.merged = nn.ModuleList([Merge(4), Merge(6, bias=True)])
        self.crossed = nn.ModuleList([Swap() for _ in range(3)])
        self.one = nn.Sequential(Unit(4, 3, kernel=1))
        self.self = Unit(3, 4)
        self.cut = nn.Conv2d(4, 6, kernel_size=1)
        self.fc = nn.Linear(72, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.units(x)  # (N, 6, 4, 3)
        split_right, split_left = self.split(x)
        again_right, again_left = self.again(split_right)
        merged = self.merged[0](again_left, split_left)
        merged = self.merged[1](merged, split_left)
        crossed_b, crossed_a = again_right, split_right
        for block in self.crossed:
            crossed_b, crossed_a = block(crossed_b, crossed_a)
        x = crossed_a + crossed_b
        one = self.one(x)  # (N, 3, 4, 3)
        x = self.self(one)  # (N, 4, 4, 3)
        x = self.cut(x)  # (N, 6, 4, 3)
        x = x + merged
        x = x.flatten(1)  # (N, 72)
        fc = self.fc(x)  # (N, 3)
        return fc, one
