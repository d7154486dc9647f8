"""cifar-alexnet-keras: A widely read article's AlexNet in Keras for CIFAR-10, with
batch normalization for LRN

Emitted by netspec from a layer spec; needs torch alone.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class BiasedBatchNorm(nn.Module):
    """Batch normalization whose running variance averages biased batch variances.

    The biased variance divides by n, as in Keras and ONNX; `nn.BatchNorm2d` divides by
    n - 1. A training step sets

        running = (1 - momentum) * running + momentum * batch

    Shapes: x (N, C) or (N, C, ...) to the same.
    Source: Ioffe & Szegedy 2015, algorithm 1.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
    ) -> None:
        super().__init__()
        self.eps = eps
        self.momentum = momentum
        self.weight = nn.Parameter(torch.ones(num_features)) if affine else None
        self.bias = nn.Parameter(torch.zeros(num_features)) if affine else None
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))

    def forward(self, x: Tensor) -> Tensor:
        """Normalize by batch statistics in training, by running ones in evaluation."""
        # F.batch_norm updates its running variance in place, with division by n - 1,
        # and saves it for backward. In training it gets a copy, whose change is then
        # multiplied by (n - 1) / n.
        unbiased = self.running_var.clone() if self.training else self.running_var
        y = F.batch_norm(
            x,
            self.running_mean,
            unbiased,
            self.weight,
            self.bias,
            training=self.training,
            momentum=self.momentum,
            eps=self.eps,
        )
        if self.training and x.numel() > 0:
            n = x.numel() // x.shape[1]
            self.running_var.mul_(1 - self.momentum).lerp_(unbiased, (n - 1) / n)
        return y

    def extra_repr(self) -> str:
        """The arguments, for `print(model)`."""
        affine = self.weight is not None
        features = len(self.running_mean)
        return f"{features}, eps={self.eps}, momentum={self.momentum}, affine={affine}"


class CifarAlexnetKeras(nn.Module):
    """(N, 3, 32, 32) to (N, 10); 21,624,586 weights."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 96, kernel_size=11, stride=4)
        self.pool1 = nn.MaxPool2d(kernel_size=2)
        self.norm1 = BiasedBatchNorm(96, eps=0.001, momentum=0.01)
        self.conv2 = nn.Conv2d(96, 256, kernel_size=5, padding=2)
        self.pool2 = nn.MaxPool2d(kernel_size=2)
        self.norm2 = BiasedBatchNorm(256, eps=0.001, momentum=0.01)
        self.conv3 = nn.Conv2d(256, 384, kernel_size=3, padding=1)
        self.conv4 = nn.Conv2d(384, 384, kernel_size=3, padding=1)
        self.conv5 = nn.Conv2d(384, 256, kernel_size=3, stride=2)
        self.pool5 = nn.MaxPool2d(kernel_size=2)
        self.norm5 = BiasedBatchNorm(256, eps=0.001, momentum=0.01)
        self.fc6 = nn.Linear(256, 4096)
        self.drop6 = nn.Dropout(p=0.4)
        self.fc7 = nn.Linear(4096, 4096)
        self.drop7 = nn.Dropout(p=0.4)
        self.fc8 = nn.Linear(4096, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (3, 4, 3, 4))  # (N, 3, 39, 39)
        x = self.conv1(x)  # (N, 96, 8, 8)
        x = F.relu(x)
        x = self.pool1(x)  # (N, 96, 4, 4)
        x = self.norm1(x)
        x = self.conv2(x)  # (N, 256, 4, 4)
        x = F.relu(x)
        x = self.pool2(x)  # (N, 256, 2, 2)
        x = self.norm2(x)
        x = self.conv3(x)  # (N, 384, 2, 2)
        x = F.relu(x)
        x = self.conv4(x)
        x = F.relu(x)
        x = F.pad(x, (0, 1, 0, 1))  # (N, 384, 3, 3)
        x = self.conv5(x)  # (N, 256, 1, 1)
        x = F.relu(x)
        x = F.pad(x, (0, 1, 0, 1), value=float("-inf"))  # (N, 256, 2, 2)
        x = self.pool5(x)
        x = self.norm5(x)
        x = x.flatten(1)  # (N, 256)
        x = self.fc6(x)  # (N, 4096)
        x = F.relu(x)
        x = self.drop6(x)
        x = self.fc7(x)
        x = F.relu(x)
        x = self.drop7(x)
        x = self.fc8(x)  # (N, 10)
        x = F.softmax(x, dim=1)
        return x
