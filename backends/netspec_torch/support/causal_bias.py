"""An attention bias with a causal mask."""

import torch
from torch import Tensor


def causal_bias(bias: Tensor, queries: Tensor) -> Tensor:
    """Set the bias of attention scores (..., L, L) to -inf at keys after the query."""
    length = queries.shape[-2]
    later = torch.ones((length, length), dtype=torch.bool, device=bias.device).triu(1)
    return torch.where(later, float("-inf"), bias)
