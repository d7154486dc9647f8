"""Attention masks between different regions of a grid."""

import torch
from torch import Tensor


@torch.fx.wrap  # a single call in a symbolic trace: the code depends on `scores.dim()`
def mask_regions(
    scores: Tensor,
    regions: list[list[int]],
    window_size: list[int] | None = None,
    value: float = -100.0,
) -> Tensor:
    """Add `value` to the scores whose query and key are in different regions of a grid.

    `regions` are, for each axis of the grid, the lengths of the runs it is cut into; a
    region is a product of runs. With `window_size`, attention is within the windows
    that tile the grid, and axis 1 of the scores is the number of windows, or 1.

    Shapes: scores (N, ..., L, L) to the same, with all windows on axis 1.
    Source: Liu et al. 2021 (Swin Transformer), section 3.2.
    """
    labels = torch.tensor(0, device=scores.device)
    for runs in regions:
        positions = torch.arange(sum(runs), device=scores.device)
        run_index = torch.zeros_like(positions)
        start = 0
        for run in runs[:-1]:
            start += run
            run_index += positions >= start
        labels = labels[..., None] * len(runs) + run_index
    if window_size is not None:
        for axis, length in enumerate(window_size):
            labels = labels.unfold(axis, length, length)
        labels = labels.flatten(len(window_size)).flatten(0, len(window_size) - 1)
        for _ in range(scores.dim() - 4):
            labels = labels.unsqueeze(1)
    else:
        labels = labels.flatten()
    different = labels[..., :, None] != labels[..., None, :]
    return scores + value * different
