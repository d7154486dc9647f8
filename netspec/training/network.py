"""The input of a network, as trainers compute it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from netspec.graph import Normalization
from netspec.ops.base import Array


def network_inputs(
    inputs: NDArray[Any], shifts: NDArray[np.float32] | None, normalization: Normalization | None
) -> Array:
    """The input of the network, float32, as trainers compute it. Shapes: (N, H, W, C) → (N, C, H, W) for images."""
    if normalization is None:
        return inputs.astype(np.float32, copy=False)
    pixels = inputs.astype(np.float32).transpose(0, 3, 1, 2)
    if shifts is not None:
        pixels = pixels + shifts[:, :, None, None]
    values: Array = (pixels - normalization.mean) * normalization.factor
    return values
