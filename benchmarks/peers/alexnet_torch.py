"""AlexNet by hand, with layers of PyTorch: the function of `specs/alexnet.yaml`."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class AlexNet(nn.Module):
    """Krizhevsky, Sutskever & Hinton 2012. Shapes: x (N, 3, 224, 224) to (N, classes).

    Args:
        classes: the units of the last layer.
        norm: whether to normalize. Without it the function is wrong, and its time is a lower bound.
    """

    def __init__(self, classes: int = 1000, norm: bool = True) -> None:
        super().__init__()
        self.norm = norm
        self.conv1 = nn.Conv2d(3, 96, kernel_size=11, stride=4)
        self.conv2 = nn.Conv2d(96, 256, kernel_size=5, padding=2, groups=2)
        self.conv3 = nn.Conv2d(256, 384, kernel_size=3, padding=1)
        self.conv4 = nn.Conv2d(384, 384, kernel_size=3, padding=1, groups=2)
        self.conv5 = nn.Conv2d(384, 256, kernel_size=3, padding=1, groups=2)
        self.pool = nn.MaxPool2d(kernel_size=3, stride=2)
        self.fc6 = nn.Linear(256 * 6 * 6, 4096)
        self.fc7 = nn.Linear(4096, 4096)
        self.fc8 = nn.Linear(4096, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (0, 3, 0, 3))
        x = self.pool(self.normalize(F.relu(self.conv1(x))))
        x = self.pool(self.normalize(F.relu(self.conv2(x))))
        x = F.relu(self.conv3(x))
        x = F.relu(self.conv4(x))
        x = self.pool(F.relu(self.conv5(x)))
        x = torch.flatten(x, 1)
        x = self.dropout(F.relu(self.fc6(x)))
        x = self.dropout(F.relu(self.fc7(x)))
        return self.fc8(x)

    def normalize(self, x: Tensor) -> Tensor:
        """Normalize within the channels of each tower. PyTorch divides alpha by the size, here 5."""
        if not self.norm:
            return x
        towers = x.view(2 * x.shape[0], x.shape[1] // 2, *x.shape[2:])
        return F.local_response_norm(towers, size=5, alpha=5e-4, beta=0.75, k=2.0).view(x.shape)

    def dropout(self, x: Tensor) -> Tensor:
        """Apply dropout as in 2012: outputs are halved at inference, not doubled in training."""
        return 0.5 * F.dropout(x, 0.5, self.training)
