"""Local response normalization over a spatial window of one channel."""

import torch.nn.functional as F
from torch import Tensor, nn


class LocalResponseNormInMap(nn.Module):
    """y = x / (k + alpha * sum of x²)^beta, the sum over a `size` by `size` window.

    The window of position i is [i - size // 2, i + (size - 1) // 2] along each spatial
    axis, cut at the edges.

    Shapes: x (N, C, H, W) to the same.
    Source: the `rnorm` layer of cuda-convnet, 2012.
    """

    def __init__(self, size: int, alpha: float, beta: float, k: float) -> None:
        super().__init__()
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, x: Tensor) -> Tensor:
        """Normalize; the zero padding adds nothing to the sums."""
        before, after = self.size // 2, (self.size - 1) // 2
        squares = F.pad(x * x, (before, after, before, after))
        total = F.avg_pool2d(squares, self.size, stride=1, divisor_override=1)
        return x * (self.k + self.alpha * total).pow(-self.beta)

    def extra_repr(self) -> str:
        """The arguments, for `print(model)`."""
        return f"size={self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
