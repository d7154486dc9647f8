"""branches: A residual sum, a gate for each channel, a concatenation and two
outputs; what a chain does not show

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


class GroupedLinear(nn.Module):
    """`nn.Linear` with independent groups of features, like `groups` in `nn.Conv2d`.

    Shapes: x (..., in_features) to (..., out_features); weight (out_features,
    in_features / groups); bias (out_features,).
    """

    def __init__(
        self, in_features: int, out_features: int, groups: int, bias: bool = True
    ) -> None:
        super().__init__()
        self.groups = groups
        fan_in = in_features // groups
        self.weight = nn.Parameter(torch.empty(out_features, fan_in))
        self.bias = nn.Parameter(torch.empty(out_features)) if bias else None
        for parameter in self.parameters():  # the initialization of nn.Linear
            nn.init.uniform_(parameter, -(fan_in**-0.5), fan_in**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Multiply each group of features by the rows of its group in the weight."""
        grouped = x.unflatten(-1, (self.groups, -1))
        weight = self.weight.unflatten(0, (self.groups, -1))
        y = torch.einsum("...gi,goi->...go", grouped, weight).flatten(-2)
        return y if self.bias is None else y + self.bias

    def extra_repr(self) -> str:
        """The arguments, for `print(model)`."""
        out_features, fan_in = self.weight.shape
        bias = self.bias is not None
        return f"{fan_in * self.groups}, {out_features}, {self.groups}, bias={bias}"


class Branches(nn.Module):
    """(N, 8, 9, 7) to (N, 4), (N, 8, 1, 1); 1,404 weights."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(8, 8, kernel_size=3, padding=1, bias=False)
        self.norm = BiasedBatchNorm(8)
        self.right = nn.Conv2d(8, 8, kernel_size=3, groups=8)
        self.excite = nn.Conv2d(8, 8, kernel_size=1)
        self.pool = nn.AvgPool2d(kernel_size=3, stride=2, padding=1, ceil_mode=True)
        self.fc = GroupedLinear(320, 4, groups=2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        stem = self.stem(x)
        norm = self.norm(stem)
        left = F.gelu(norm, approximate="tanh")
        x = F.pad(norm, (0, 2, 2, 0))  # (N, 8, 11, 9)
        x = self.right(x)
        sum = left + x
        x = torch.mean(sum, dim=(2, 3), keepdim=True)  # (N, 8, 1, 1)
        x = self.excite(x)
        gate = torch.sigmoid(x)
        x = sum * gate
        x = torch.cat([x, stem], dim=1)  # (N, 16, 9, 7)
        x = self.pool(x)  # (N, 16, 5, 4)
        x = x.flatten(1)  # (N, 320)
        fc = self.fc(x)  # (N, 4)
        return fc, gate
