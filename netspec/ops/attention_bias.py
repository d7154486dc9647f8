"""Position biases and masks for the scores of attention."""

import itertools
import math
from typing import Annotated

from pydantic import Field

from netspec.arrays import np
from netspec.errors import ShapeError
from netspec.ops.attributes import PositiveInt
from netspec.ops.base import Array, Op, Sample, Weights, Window
from netspec.types import TensorType

Sizes = Annotated[tuple[PositiveInt, ...], Field(strict=False, min_length=1)]


class RelativePositionBias(Op, kind="relative_position_bias"):
    """A bias for each pair of query and key, looked up in a table by their relative position on a grid.

    Queries and keys are the positions of `grid` in row-major order. The input is the table, commonly a `parameter`. It
    has a row for each relative position: along an axis of length g, the query's coordinate minus the key's, from
    −(g − 1) to g − 1; the rows are in row-major order. This is a gather with constant indices, which follow from the
    grid; a window of 7x7 has 2,401 of them.

    Shapes:
        x (N, …, Π(2g − 1), heads) → (N, …, heads, L, L), where L = Πg is the number of positions of `grid`.

    Source: Shaw, Uszkoreit & Vaswani 2018, section 3.2; in two dimensions Liu et al. 2021 (Swin Transformer), section
    3.2, and also BEiT, CoAtNet and MaxViT.
    """

    trap = "the key's position minus the query's, or rows of the table numbered along the wrong axis"

    grid: Sizes

    def infer(self, x: TensorType) -> TensorType:
        rows, positions = math.prod(2 * g - 1 for g in self.grid), math.prod(self.grid)
        if x.rank < 3 or x.features[-2] != rows:
            raise ShapeError(
                f"{self.kind} of a grid of {_grid(self.grid)} expects a table (N, …, {rows}, heads), received {x}",
                f"there are {' * '.join(f'(2 * {g} - 1)' for g in self.grid)} = {rows} relative positions",
                "grid",
            )
        return x.with_features(*x.features[:-2], x.features[-1], positions, positions)

    def reference(self, weights: Weights, x: Array) -> Array:
        index = relative_index(self.grid)
        return np.moveaxis(x[..., index, :], -1, -3)

    def window(self) -> Window | None:
        return None

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls(grid=(2, 3)), ((15, 2),)),
            Sample(cls(grid=(3,)), ((5, 4),)),
            Sample(cls(grid=(2, 3)), ((1, 15, 2),)),
            Sample(cls(grid=(3, 2)), ((2, 15, 1),)),
            Sample(cls(grid=(2,)), ((2, 1, 3, 2),)),
        )


def relative_index(grid: tuple[int, ...]) -> "np.ndarray[tuple[int, ...], np.dtype[np.int64]]":
    """Return the row of the table of relative positions for each query and key of a grid. Shape: (L, L).

    >>> relative_index((3,)).tolist()
    [[2, 1, 0], [3, 2, 1], [4, 3, 2]]
    """
    coordinates = np.stack([axis.ravel() for axis in np.indices(grid)])
    differences = coordinates[:, :, None] - coordinates[:, None, :]
    shifted = tuple(difference + g - 1 for difference, g in zip(differences, grid, strict=True))
    lengths = [2 * g - 1 for g in grid]
    index: np.ndarray[tuple[int, ...], np.dtype[np.int64]] = np.asarray(np.ravel_multi_index(shifted, lengths))
    return index


class RegionMask(Op, kind="region_mask"):
    """Attention scores, with `value` added where query and key lie in different regions of a grid.

    Each axis of the grid is cut into segments, whose lengths are in `regions`. Queries and keys are the positions of
    the grid in row-major order. With `window_size` they are the positions of one window, and axis 1 has the windows,
    also in row-major order. For example, three texts in one sequence that do not attend to one another have
    `regions: [[128, 64, 64]]`. In the windows of a rolled map, the regions keep apart parts that were not neighbors
    before the roll.

    Shapes:
        x (N, …, L, L) → the same, where L is the number of positions of the grid. With `window_size`,
        x (N, 1 or W, …, L, L) → (N, W, …, L, L), with W windows of L positions each.

    Source: Liu et al. 2021 (Swin Transformer), section 3.2 and figure 4; its code adds −100.
    """

    trap = "regions cut at other positions, or windows numbered in column-major order"

    regions: Annotated[tuple[Sizes, ...], Field(strict=False, min_length=1)]
    window_size: Sizes | None = None
    value: float = -100.0

    @property
    def grid(self) -> tuple[int, ...]:
        """The shape of the grid."""
        return tuple(sum(runs) for runs in self.regions)

    def infer(self, x: TensorType) -> TensorType:
        window = self.window_size or self.grid
        if len(window) != len(self.grid) or any(g % w for g, w in zip(self.grid, window, strict=True)):
            raise ShapeError(
                f"{self.kind} cannot cut a grid of {_grid(self.grid)} into windows of {_grid(window)} evenly",
                "the lengths in `regions` sum to the length of each axis, and `window_size` has a length for each axis",
                "window_size",
            )
        count, length = math.prod(self.grid) // math.prod(window), math.prod(window)
        least = 3 if self.window_size is None else 4
        if x.rank < least or x.features[-2:] != (length, length):
            subject, attribute = ("windows", "window_size") if self.window_size else ("a grid", "regions")
            expected = f"expects scores (N, …, {length}, {length})"
            raise ShapeError(
                f"{self.kind} of {subject} of {_grid(window)} {expected}, received {x}", attribute=attribute
            )
        if self.window_size is None:
            return x
        if x.features[0] not in (1, count):
            raise ShapeError(
                f"{self.kind} of windows of {_grid(window)} expects axis 1 to count them, {count} or 1; received {x}",
                attribute="window_size",
            )
        return x.with_features(count, *x.features[1:])

    def reference(self, weights: Weights, x: Array) -> Array:
        mask = self.mask
        aligned = mask if x.ndim == 3 else mask.reshape(len(mask), *(1,) * (x.ndim - 4), *mask.shape[1:])
        y: Array = x + aligned
        return y

    @property
    def mask(self) -> Array:
        """The mask that is added to the scores of each window. Shape: (W, L, L)."""
        labels = np.zeros(self.grid, dtype=np.int64)  # the number of each position's region
        for axis, lengths in enumerate(self.regions):
            segments = np.repeat(np.arange(len(lengths)), lengths)
            labels = labels * len(lengths) + segments.reshape(-1, *(1,) * (len(self.grid) - 1 - axis))
        window = self.window_size or self.grid
        split = itertools.chain.from_iterable((g // w, w) for g, w in zip(self.grid, window, strict=True))
        axes = range(2 * len(window))
        windows = labels.reshape(*split).transpose(*axes[::2], *axes[1::2]).reshape(-1, math.prod(window))
        return np.where(windows[:, :, None] == windows[:, None, :], 0.0, self.value)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls(regions=((1, 3),)), ((2, 4, 4),)),
            Sample(cls(regions=((1, 1), (1, 2)), value=-3.0), ((6, 6),)),
            Sample(cls(regions=((3, 1), (2, 1, 1)), window_size=(2, 2)), ((1, 2, 4, 4),)),
            Sample(cls(regions=((3, 1), (3, 1)), window_size=(2, 2), value=-2.0), ((4, 4, 4),)),
            Sample(cls(regions=((1, 2), (4,)), window_size=(3, 2)), ((2, 3, 6, 6),)),
            Sample(cls(regions=((5, 1),), window_size=(2,), value=0.5), ((1, 2, 2),)),
        )


def _grid(lengths: tuple[int, ...]) -> str:
    return "x".join(map(str, lengths))
