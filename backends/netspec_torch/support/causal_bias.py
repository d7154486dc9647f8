"""Biases of attention that sees no later key."""

import torch
from torch import Tensor


def causal_bias(bias: Tensor) -> Tensor:
    """A bias of scores (..., L, L), minus infinity where the key is the later one."""
    later = torch.ones(bias.shape[-2:], dtype=torch.bool, device=bias.device).triu(1)
    return bias.masked_fill(later, float("-inf"))
