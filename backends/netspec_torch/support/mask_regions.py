"""Masks of what stands in different regions of a grid."""

import torch
from torch import Tensor


@torch.fx.wrap  # a step of its own in a symbolic trace: it asks for axes
def mask_regions(
    scores: Tensor,
    regions: list[list[int]],
    window_size: list[int] | None = None,
    value: float = -100.0,
) -> Tensor:
    """Scores, with `value` added where query and key stand in different regions.

    The axes of a grid are cut into runs of these lengths. With a window, axis 1 counts
    the windows of the grid, and queries and keys are the positions of one.

    Shapes: (N, ..., L, L) to the same; with a window, axis 1 of 1 becomes their number.
    Source: Liu et al. 2021 (Swin Transformer), section 3.2.
    """
    labels = torch.tensor(0, device=scores.device)
    for runs in regions:
        positions = torch.arange(sum(runs), device=scores.device)
        own = torch.zeros_like(positions)
        start = 0
        for run in runs[:-1]:
            start += run
            own += positions >= start
        labels = labels[..., None] * len(runs) + own
    if window_size is not None:
        for axis, length in enumerate(window_size):
            labels = labels.unfold(axis, length, length)
        labels = labels.flatten(len(window_size)).flatten(0, len(window_size) - 1)
        for _ in range(scores.dim() - 4):
            labels = labels.unsqueeze(1)
    else:
        labels = labels.flatten()
    apart = labels[..., :, None] != labels[..., None, :]
    return scores + value * apart
