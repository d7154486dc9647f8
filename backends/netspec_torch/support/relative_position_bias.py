# mypy: disable-error-code="no-untyped-call"
"""Relative position bias for attention."""

from torch import Tensor


def relative_position_bias(table: Tensor, grid: list[int]) -> Tensor:
    """Look up the bias of each pair of grid positions by the offset, query minus key.

    Along an axis of length g, offsets are 1 - g to g - 1. The table has one row for
    each combination of offsets, in row-major order.

    Shapes: table (..., rows, heads) to (..., heads, L, L), L = positions in the grid.
    Source: Liu et al. 2021 (Swin Transformer), section 3.2.
    """
    axes = len(grid)
    x: Tensor = table.movedim(-1, -2)
    x = x.unflatten(-1, [2 * length - 1 for length in grid])
    for length in grid:  # the window of a query contains its keys in reverse order
        x = x.unfold(-axes, length, 1)
    x = x.flip(list(range(-axes, 0))).flatten(-axes)
    return x.flatten(-1 - axes, -2)
