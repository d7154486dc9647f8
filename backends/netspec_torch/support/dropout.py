"""Dropout in the scaling of 2012."""

import torch
from torch import Tensor, nn


class StandardDropout(nn.Module):
    """Drops with probability p in training, and multiplies all by 1 - p at inference.

    `nn.Dropout` divides in training instead, by 1 - p.

    Shapes: x to the same.
    Source: Krizhevsky, Sutskever & Hinton 2012, section 4.2.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """What is kept stays as it is."""
        if not self.training:
            return x * (1 - self.p)
        return x * torch.empty_like(x).bernoulli_(1 - self.p)

    def extra_repr(self) -> str:
        """The argument, for `print(model)`."""
        return f"p={self.p}"
