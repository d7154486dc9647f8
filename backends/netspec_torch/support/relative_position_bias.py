# mypy: disable-error-code="no-untyped-call"
"""Biases by relative positions."""

from torch import Tensor


def relative_position_bias(table: Tensor, grid: list[int]) -> Tensor:
    """The row of a table for each pair of positions of a grid, query less key.

    An axis of length g has differences from 1 - g to g - 1, row-major as the grid.

    Shapes: table (..., rows, heads) to (..., heads, L, L), L the positions of the grid.
    Source: Liu et al. 2021 (Swin Transformer), section 3.2.
    """
    axes = len(grid)
    x: Tensor = table.movedim(-1, -2)
    x = x.unflatten(-1, [2 * length - 1 for length in grid])
    for length in grid:  # a window at each query has its keys, the last of them first
        x = x.unfold(-axes, length, 1)
    x = x.flip(list(range(-axes, 0))).flatten(-axes)
    return x.flatten(-1 - axes, -2)
