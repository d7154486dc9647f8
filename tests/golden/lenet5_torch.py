"""lenet5: LeCun, Bottou, Bengio & Haffner 1998, section II.B, with plain averages
and a third convolution that reads every map

Emitted by netspec from a layer spec; needs torch alone.
"""

import torch
from torch import Tensor, nn


class Lenet5(nn.Module):
    """(N, 1, 32, 32) to (N, 10); 61,706 weights."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, kernel_size=5)
        self.pool2 = nn.AvgPool2d(kernel_size=2)
        self.conv3 = nn.Conv2d(6, 16, kernel_size=5)
        self.pool4 = nn.AvgPool2d(kernel_size=2)
        self.conv5 = nn.Conv2d(16, 120, kernel_size=5)
        self.fc6 = nn.Linear(120, 84)
        self.fc7 = nn.Linear(84, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)  # (N, 6, 28, 28)
        x = torch.tanh(x)
        x = self.pool2(x)  # (N, 6, 14, 14)
        x = self.conv3(x)  # (N, 16, 10, 10)
        x = torch.tanh(x)
        x = self.pool4(x)  # (N, 16, 5, 5)
        x = self.conv5(x)  # (N, 120, 1, 1)
        x = torch.tanh(x)
        x = x.flatten(1)  # (N, 120)
        x = self.fc6(x)  # (N, 84)
        x = torch.tanh(x)
        x = self.fc7(x)  # (N, 10)
        return x
