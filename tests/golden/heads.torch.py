"""heads: a classifier with two auxiliary heads, as GoogLeNet (Szegedy et al. 2015,
section 5) has them

Emitted by netspec from a layer spec; needs torch alone.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Head(nn.Module):
    """The block `head`: aux1."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(kernel_size=2)
        self.conv = nn.Conv2d(8, 4, kernel_size=1)
        self.drop = nn.Dropout(p=0.7)
        self.fc = nn.Linear(144, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(x)  # (N, 8, 6, 6)
        x = self.conv(x)  # (N, 4, 6, 6)
        x = F.relu(x)
        x = x.flatten(1)  # (N, 144)
        x = self.drop(x)
        x = self.fc(x)  # (N, 5)
        return x


class Heads(nn.Module):
    """(N, 3, 24, 24) to (N, 5), and 2 auxiliary outputs in training; 2,443 weights."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, kernel_size=3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(8, 8, kernel_size=3, padding=1)
        self.bn2 = nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, 5)
        self.aux1 = Head()
        self.aux2_conv = nn.Conv2d(8, 4, kernel_size=3, stride=2)
        self.aux2_fc = nn.Linear(100, 5)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor, Tensor]:
        x = self.conv1(x)  # (N, 8, 12, 12)
        relu1 = F.relu(x)
        x = self.conv2(relu1)
        x = self.bn2(x)
        relu2 = F.relu(x)
        x = torch.mean(relu2, dim=(2, 3))  # (N, 8)
        x = self.fc(x)  # (N, 5)
        prob = F.softmax(x, dim=1)
        if self.training:
            aux1 = self.aux1(relu1)  # (N, 5)
            x = self.aux2_conv(relu2)  # (N, 4, 5, 5)
            x = x.flatten(1)  # (N, 100)
            x = self.aux2_fc(x)  # (N, 5)
            aux2 = F.softmax(x, dim=1)
            return prob, aux1, aux2
        return prob
