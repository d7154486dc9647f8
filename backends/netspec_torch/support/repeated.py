"""A constant for each sample of a batch."""

import torch
from torch import Tensor


@torch.fx.wrap  # in a symbolic trace, a buffer cannot expand to a proxy
def repeated(value: Tensor, x: Tensor) -> Tensor:
    """Repeat `value`, of one sample, for each sample of `x`, without a copy."""
    return value.expand([x.shape[0]] + [-1 for _ in value.shape[1:]])
