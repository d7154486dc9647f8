"""residual: a block of He et al. 2015, figure 5, in small

Emitted by netspec from a layer spec; needs torch alone.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Residual(nn.Module):
    """(N, 3, 16, 12) to (N, 10); 1,554 weights."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, kernel_size=3, padding=1, bias=False)
        self.stem_norm = nn.BatchNorm2d(8)
        self.pool = nn.MaxPool2d(kernel_size=2)
        self.conv1 = nn.Conv2d(8, 8, kernel_size=3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 8, kernel_size=3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(8)
        self.drop = nn.Dropout(p=0.5)
        self.fc = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        x = self.stem(x)  # (N, 8, 16, 12)
        x = self.stem_norm(x)
        x = self.pool(x)  # (N, 8, 8, 6)
        stem_relu = F.relu(x, inplace=True)
        x = self.conv1(stem_relu)
        x = self.norm1(x)
        x = F.relu(x, inplace=True)
        x = self.conv2(x)
        x = self.norm2(x)
        x = x.add_(stem_relu)
        x = F.relu(x, inplace=True)
        x = torch.mean(x, dim=(2, 3))  # (N, 8)
        x = self.drop(x)
        x = self.fc(x)  # (N, 10)
        return x
