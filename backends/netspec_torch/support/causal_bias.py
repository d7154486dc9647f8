"""An attention bias with a causal mask."""

import torch
from torch import Tensor


def causal_bias(bias: Tensor) -> Tensor:
    """Set the bias of attention scores (..., L, L) to -inf at keys after the query."""
    later = torch.ones(bias.shape[-2:], dtype=torch.bool, device=bias.device).triu(1)
    return bias.masked_fill(later, float("-inf"))
