"""Dropout of samples whole."""

from torch import Tensor, nn


class StochasticDepth(nn.Module):
    """Drops each sample with probability p in training, or in mode "batch" all of them.

    What is kept is divided by 1 - p; at inference nothing happens.

    Shapes: x (N, ...) to the same.
    Source: Huang et al. 2016.
    """

    def __init__(self, p: float, mode: str = "row") -> None:
        super().__init__()
        self.p = p
        self.mode = mode

    def forward(self, x: Tensor) -> Tensor:
        """One number a sample, or one for all."""
        if not self.training or self.p == 0:
            return x
        samples = 1 if self.mode == "batch" else x.shape[0]
        kept = x.new_empty((samples,) + (1,) * (x.dim() - 1)).bernoulli_(1 - self.p)
        return x * kept / (1 - self.p)

    def extra_repr(self) -> str:
        """The arguments, for `print(model)`."""
        return f"p={self.p}, mode={self.mode}"
