"""Attention masks between different regions of a grid."""

import itertools
import math
from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="netspec")
class RegionMask(layers.Layer):
    """Adds `value` to scores whose query and key are in different regions of a grid.

    `regions` are, for each axis of the grid, the lengths of the runs it is cut into; a
    region is a product of runs. With `window_size`, attention is within the windows
    that tile the grid, and axis 1 (or C) of the scores is the number of windows, or 1.

    Inputs: scores (N, ..., L, L), or (N, L, L, C) if they have four axes.
    Source: Liu et al. 2021 (Swin Transformer), section 3.2.
    """

    def __init__(
        self,
        regions: tuple[tuple[int, ...], ...],
        window_size: tuple[int, ...] | None = None,
        value: float = -100.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.regions = tuple(tuple(runs) for runs in regions)
        self.window_size = tuple(window_size) if window_size is not None else None
        self.value = value

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        labels = ops.convert_to_tensor(self.labels(), dtype="int32")
        different = ops.not_equal(labels[:, :, None], labels[:, None, :])
        mask = self.value * ops.cast(different, inputs.dtype)
        count, length, _ = mask.shape
        if len(inputs.shape) == 4:
            return inputs + ops.transpose(mask, (1, 2, 0))
        between = (1,) * max(0, len(inputs.shape) - 4)
        return inputs + ops.reshape(mask, (count, *between, length, length))

    def labels(self) -> list[list[int]]:
        """Return the region of each position of each window."""
        axes = [
            [index for index, run in enumerate(runs) for _ in range(run)]
            for runs in self.regions
        ]
        window = self.window_size or tuple(map(len, axes))
        starts = [range(0, len(axis), w) for axis, w in zip(axes, window)]
        return [
            [
                self.region([axis[s + i] for axis, s, i in zip(axes, start, offset)])
                for offset in itertools.product(*map(range, window))
            ]
            for start in itertools.product(*starts)
        ]

    def region(self, runs: list[int]) -> int:
        """Return the row-major number of a region from its run along each axis."""
        counts = list(map(len, self.regions))
        steps = [math.prod(counts[axis + 1 :]) for axis in range(len(counts))]
        return sum(run * step for run, step in zip(runs, steps))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "regions": self.regions,
            "window_size": self.window_size,
            "value": self.value,
        }
