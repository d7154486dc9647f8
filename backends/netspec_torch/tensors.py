"""Arrays as tensors, and tensors as the trainer needs them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from netspec.ops.base import Array


def tensor_of(array: Array) -> Tensor:
    """The array as a tensor, which shares its memory if it is contiguous and can be written."""
    return torch.from_numpy(np.require(array, requirements=["C", "W"]))


def array_of(tensor: Tensor) -> Array:
    """A tensor of any device as a contiguous array, in float32 at least."""
    array: Array = at_least_float32(tensor).cpu().contiguous().numpy()
    return array


def at_least_float32(values: Tensor) -> Tensor:
    """The tensor, in float32 if its dtype is a shorter one."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def gradient_of(weight: Tensor) -> Tensor:
    """The gradient of a weight; zeros if no output depends on it."""
    return torch.zeros_like(weight) if weight.grad is None else weight.grad
