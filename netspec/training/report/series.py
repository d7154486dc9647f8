"""The metrics of a run as arrays, one for each column of the log, thinned to the number of points a page can show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Figures = NDArray[np.float64]
FEWEST, MOST, SIZE = 60, 330, 8  # the number of buckets, and the values in a bucket until there are MOST of them


@dataclass(frozen=True)
class Curves:
    """The metrics of a run: for each column of the log an array with a value per line, NaN if the line has none.

    Attributes:
        steps: the columns in STEP_COLUMNS, with a value for each step.
        epochs: the columns in EPOCH_COLUMNS, with a value for each epoch.
        unit: the unit of the x axis of charts.
    """

    steps: dict[str, Figures]
    epochs: dict[str, Figures]
    unit: Literal["step", "epoch"]

    @property
    def best(self) -> int | None:
        """The index in `epochs` of the first epoch with the lowest validation error."""
        errors = self.epochs["validation_error"]
        return int(np.nanargmin(errors)) if np.isfinite(errors).any() else None


STEP_COLUMNS = ("step", "epoch", "loss", "error", "rate", "images_per_second", "seconds")
EPOCH_COLUMNS = (
    *("epoch", "step", "training_loss", "training_error"),
    *("validation_loss", "validation_error", "validation_error_top5", "validation_mean_iou", "rate", "seconds"),
)


def read_curves(metrics: Iterable[Mapping[str, Any]]) -> Curves:
    """The metrics of a log, in the order of steps; of steps repeated after resuming, the last repetition counts."""
    kept: dict[str, list[Mapping[str, Any]]] = {"step": [], "epoch": []}
    for line in metrics:
        lines = kept.get(line.get("kind", ""))
        if lines is None:
            continue
        while lines and lines[-1]["step"] >= line["step"]:
            lines.pop()
        lines.append(line)
    steps = {name: _column(kept["step"], name) for name in STEP_COLUMNS}
    epochs = {name: _column(kept["epoch"], name) for name in EPOCH_COLUMNS}
    furthest = max((float(np.nanmax(x)) for x in (steps["epoch"], epochs["epoch"]) if np.isfinite(x).any()), default=0)
    return Curves(steps, epochs, "epoch" if furthest >= 2 else "step")


def _column(lines: list[Mapping[str, Any]], name: str) -> Figures:
    values = (line.get(name) for line in lines)
    return np.array([value if isinstance(value, int | float) else np.nan for value in values], np.float64)


@dataclass(frozen=True)
class Thinned:
    """A curve reduced to buckets of neighboring points.

    Attributes:
        x: the mean position of each bucket.
        low, mean, high: the least, mean and largest finite value of each bucket, NaN if there is none.
    """

    x: Figures
    low: Figures
    mean: Figures
    high: Figures


def thin(x: Figures, y: Figures) -> Thinned:
    """Reduce a curve to at most 330 buckets with equal numbers of points; 60 points or fewer are kept as they are.

    Values that are not finite are left out of their bucket.
    """
    known = np.isfinite(x)
    x, y = x[known], y[known]
    count = len(x)
    if not count:
        return Thinned(x, x, x, x)
    buckets = count if count <= FEWEST else min(MOST, max(FEWEST, count // SIZE))
    starts = np.arange(buckets) * count // buckets
    finite = np.isfinite(y)
    sizes = np.add.reduceat(finite.astype(np.float64), starts)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.add.reduceat(np.where(finite, y, 0.0), starts) / sizes
    low = np.minimum.reduceat(np.where(finite, y, np.inf), starts)
    high = np.maximum.reduceat(np.where(finite, y, -np.inf), starts)
    places = np.add.reduceat(x, starts) / np.diff(np.append(starts, count))
    empty = sizes == 0
    return Thinned(places, *(np.where(empty, np.nan, values) for values in (low, mean, high)))
