"""Batch normalization with a biased running variance."""

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
