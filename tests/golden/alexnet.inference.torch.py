"""alexnet: Krizhevsky, Sutskever & Hinton 2012, ImageNet Classification with Deep
Convolutional Neural Networks, section 3

Emitted by netspec from a layer spec; needs torch alone.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LocalResponseNorm(nn.Module):
    """y = x / (k + alpha * sum of x²)^beta, the sum over `size` neighboring channels.

    Unlike in `nn.LocalResponseNorm`, alpha is not divided by `size`, and a sum does not
    cross the boundary between two of the `groups` of channels.

    Shapes: x (N, C, H, W) to the same.
    Source: Krizhevsky, Sutskever & Hinton 2012, section 3.3.
    """

    def __init__(
        self, size: int, alpha: float, beta: float, k: float, groups: int = 1
    ) -> None:
        super().__init__()
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        """Sum over [c - size // 2, c + (size - 1) // 2] for channel c, zero-padded."""
        grouped = x.unflatten(1, (self.groups, -1))
        edges = (0, 0, 0, 0, self.size // 2, (self.size - 1) // 2)
        squares = F.pad(grouped * grouped, edges)
        total = squares[:, :, : grouped.shape[2]]
        for shift in range(1, self.size):
            total = total + squares[:, :, shift : shift + grouped.shape[2]]
        scale = self.k + self.alpha * total
        if self.beta == 0.75:  # two square roots are much faster than a power
            root = torch.rsqrt(scale)
            y = grouped * (root * torch.sqrt(root))
        else:
            y = grouped * scale.pow(-self.beta)
        result: Tensor = y.flatten(1, 2)
        return result

    def extra_repr(self) -> str:
        """The arguments, for `print(model)`."""
        names = ("size", "alpha", "beta", "k", "groups")
        return ", ".join(f"{name}={getattr(self, name)}" for name in names)


class Alexnet(nn.Module):
    """(N, 3, 224, 224) to (N, 1000); 60,965,224 weights."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 96, kernel_size=11, stride=4)
        self.norm1 = LocalResponseNorm(size=5, alpha=0.0001, beta=0.75, k=2.0, groups=2)
        self.pool1 = nn.MaxPool2d(kernel_size=3, stride=2)
        self.conv2 = nn.Conv2d(96, 256, kernel_size=5, padding=2, groups=2)
        self.norm2 = LocalResponseNorm(size=5, alpha=0.0001, beta=0.75, k=2.0, groups=2)
        self.pool2 = nn.MaxPool2d(kernel_size=3, stride=2)
        self.conv3 = nn.Conv2d(256, 384, kernel_size=3, padding=1)
        self.conv4 = nn.Conv2d(384, 384, kernel_size=3, padding=1, groups=2)
        self.conv5 = nn.Conv2d(384, 256, kernel_size=3, padding=1, groups=2)
        self.pool5 = nn.MaxPool2d(kernel_size=3, stride=2)
        self.fc6 = nn.Linear(9216, 4096)
        self.fc7 = nn.Linear(4096, 4096)
        self.fc8 = nn.Linear(4096, 1000)

    def forward(self, x: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        x = F.pad(x, (0, 3, 0, 3))  # (N, 3, 227, 227)
        x = self.conv1(x)  # (N, 96, 55, 55)
        x = F.relu(x, inplace=True)
        x = self.norm1(x)
        x = self.pool1(x)  # (N, 96, 27, 27)
        x = self.conv2(x)  # (N, 256, 27, 27)
        x = F.relu(x, inplace=True)
        x = self.norm2(x)
        x = self.pool2(x)  # (N, 256, 13, 13)
        x = self.conv3(x)  # (N, 384, 13, 13)
        x = F.relu(x, inplace=True)
        x = self.conv4(x)
        x = F.relu(x, inplace=True)
        x = self.conv5(x)  # (N, 256, 13, 13)
        x = self.pool5(x)  # (N, 256, 6, 6)
        x = F.relu(x, inplace=True)
        x = x.flatten(1)  # (N, 9216)
        x = self.fc6(x)  # (N, 4096)
        x = F.relu(x, inplace=True)
        x = self.fc7(x)
        x = F.relu(x, inplace=True)
        x = self.fc8(x)  # (N, 1000)
        return x
