"""What attention adds to its scores by the positions of queries and keys."""

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
    """The row of a table for each pair of a query and a key, by how far apart they stand on a grid.

    The positions of the grid are queries and keys, both in row-major order. A table has a row for each difference: on
    each axis of length g the query's coordinate less the key's, from −(g − 1) to g − 1, rows in row-major order. So it
    is a gather by constant indices; a spec states the grid that they follow from, not the indices, of which a window of
    7x7 has 2,401. The table is commonly a `parameter`.

    Shapes:
        x (N, …, Π(2g − 1), heads) → (N, …, heads, L, L), L = Πg the positions of `grid`.

    Source: Shaw, Uszkoreit & Vaswani 2018, section 3.2; on a plane Liu et al. 2021 (Swin Transformer), section 3.2;
    so too in BEiT, CoAtNet and MaxViT.
    """

    trap = "the key's position less the query's; rows counted along the wrong axis"

    grid: Sizes

    def infer(self, x: TensorType) -> TensorType:
        rows, positions = math.prod(2 * g - 1 for g in self.grid), math.prod(self.grid)
        if x.rank < 3 or x.features[-2] != rows:
            raise ShapeError(
                f"{self.kind} of a grid of {_grid(self.grid)} expects a table (N, …, {rows}, heads), received {x}",
                f"there are {' * '.join(f'(2 * {g} - 1)' for g in self.grid)} = {rows} differences of positions",
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
    """The row of a table of relative positions for each query and key of a grid.

    >>> relative_index((3,)).tolist()
    [[2, 1, 0], [3, 2, 1], [4, 3, 2]]
    """
    coordinates = np.stack([axis.ravel() for axis in np.indices(grid)])
    differences = coordinates[:, :, None] - coordinates[:, None, :]
    lengths = [2 * g - 1 for g in grid]
    found = [difference + g - 1 for difference, g in zip(differences, grid, strict=True)]
    index: np.ndarray[tuple[int, ...], np.dtype[np.int64]] = np.asarray(np.ravel_multi_index(tuple(found), lengths))
    return index


class RegionMask(Op, kind="region_mask"):
    """Scores of pairs, `value` added where the query and the key stand in different regions of a grid.

    `regions` are the lengths of the runs into which each axis of the grid is cut. Queries and keys are all positions of
    the grid in row-major order; with `window_size` those of one window of it, and axis 1 counts the windows, row-major
    too. A sequence of texts that do not see one another has `regions: [[128, 64, 64]]`; windows of a map that was
    rolled have the regions that were not neighbors before.

    Shapes:
        x (N, …, L, L) → the same, L the positions of the grid; with `window_size`, x (N, 1 or W, …, L, L) →
        (N, W, …, L, L), W the windows of the grid, L the positions of one.

    Source: Liu et al. 2021 (Swin Transformer), section 3.2 and figure 4; its code adds −100.
    """

    trap = "regions cut at another place, windows counted column by column"

    regions: Annotated[tuple[Sizes, ...], Field(strict=False, min_length=1)]
    window_size: Sizes | None = None
    value: float = -100.0

    @property
    def grid(self) -> tuple[int, ...]:
        """The lengths of the grid's axes."""
        return tuple(sum(runs) for runs in self.regions)

    def infer(self, x: TensorType) -> TensorType:
        window = self.window_size or self.grid
        if len(window) != len(self.grid) or any(g % w for g, w in zip(self.grid, window, strict=True)):
            raise ShapeError(
                f"{self.kind} cannot cut a grid of {_grid(self.grid)} into windows of {_grid(window)} evenly",
                "the runs of an axis in `regions` sum to its length, and `window_size` has a length for each axis",
                "window_size",
            )
        count, length = math.prod(self.grid) // math.prod(window), math.prod(window)
        least = 3 if self.window_size is None else 4
        if x.rank < least or x.features[-2:] != (length, length):
            what, attribute = ("windows", "window_size") if self.window_size else ("a grid", "regions")
            expected = f"expects scores (N, …, {length}, {length})"
            raise ShapeError(f"{self.kind} of {what} of {_grid(window)} {expected}, received {x}", attribute=attribute)
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
        """What is added, for each window: (W, L, L)."""
        labels = np.zeros(self.grid, dtype=np.int64)
        for axis, runs in enumerate(self.regions):
            own = np.repeat(np.arange(len(runs)), runs)
            labels = labels * len(runs) + own.reshape(-1, *(1,) * (len(self.grid) - 1 - axis))
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
