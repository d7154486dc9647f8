"""Dropout that scales at inference, as first published in 2012."""

import torch
from torch import Tensor, nn


class StandardDropout(nn.Module):
    """Zeroes elements with probability p in training; multiplies by 1 - p at inference.

    `nn.Dropout` instead divides by 1 - p in training.

    Shapes: x to the same.
    Source: Krizhevsky, Sutskever & Hinton 2012, section 4.2.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Apply a new random mask in training, the constant scale at inference."""
        if not self.training:
            return x * (1.0 - self.p)
        return x * torch.empty_like(x).bernoulli_(1.0 - self.p)

    def extra_repr(self) -> str:
        """The argument, for `print(model)`."""
        return f"p={self.p}"
