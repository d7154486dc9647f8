"""Stochastic depth: dropout of whole samples."""

from torch import Tensor, nn


class StochasticDepth(nn.Module):
    """Zeroes whole samples with probability p in training, and scales by 1 / (1 - p).

    Mode "row" draws one mask value for each sample, "batch" one for the whole batch.
    At inference this is the identity.

    Shapes: x (N, ...) to the same.
    Source: Huang et al. 2016.
    """

    def __init__(self, p: float, mode: str = "row") -> None:
        super().__init__()
        self.p = p
        self.mode = mode

    def forward(self, x: Tensor) -> Tensor:
        """Apply a mask that broadcasts over the features of each sample."""
        if not self.training or self.p == 0:
            return x
        samples = 1 if self.mode == "batch" else x.shape[0]
        mask = x.new_empty((samples,) + (1,) * (x.dim() - 1)).bernoulli_(1.0 - self.p)
        return x * mask / (1.0 - self.p)

    def extra_repr(self) -> str:
        """The arguments, for `print(model)`."""
        return f"p={self.p}, mode={self.mode}"
