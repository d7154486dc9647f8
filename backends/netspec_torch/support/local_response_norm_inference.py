# mypy: disable-error-code="no-untyped-call"
"""Local response normalization over channels, from operations that compilers fuse."""

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
