"""Relative position bias for attention."""

import itertools
from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="netspec")
class RelativePositionBias(layers.Layer):
    """Looks up the bias of each pair of grid positions by the offset, query minus key.

    Along an axis of length g, offsets are 1 - g to g - 1. The table has one row for
    each combination of offsets, in row-major order.

    Inputs: table (N, ..., rows, heads) to (N, ..., heads, L, L), L = positions.
    Source: Liu et al. 2021 (Swin Transformer), section 3.2.
    """

    def __init__(self, grid: tuple[int, ...], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.grid = tuple(grid)

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        positions = list(itertools.product(*map(range, self.grid)))
        index = [[self.row(query, key) for key in positions] for query in positions]
        rows = ops.take(inputs, index, axis=-2)
        return ops.moveaxis(rows, -1, -3)

    def row(self, query: tuple[int, ...], key: tuple[int, ...]) -> int:
        """Return the row of the table for the offset of a query and a key."""
        row = 0
        for length, q, k in zip(self.grid, query, key):
            row = row * (2 * length - 1) + q - k + length - 1
        return row

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "grid": self.grid}
