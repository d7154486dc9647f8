"""Figures of a run as arrays: lines of the log put in order, columns, and long ones thinned to what a page can show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Figures = NDArray[np.float64]
FEWEST, MOST, SIZE = 60, 330, 8  # buckets; and values in one, until there are MOST of them


@dataclass(frozen=True)
class Curves:
    """A run's figures: by column of the log, an array with a value a line; NaN where the line has none.

    Attributes:
        steps: `step`, `epoch`, `loss`, `error`, `rate`, `images_per_second`, `seconds`.
        epochs: `epoch`, `step`, `training_loss`, `training_error`, `validation_loss`, `validation_error`,
            `validation_error_top5`, `validation_mean_iou`, `rate`, `seconds`.
        unit: what is counted along the axis of a chart.
    """

    steps: dict[str, Figures]
    epochs: dict[str, Figures]
    unit: Literal["step", "epoch"]

    @property
    def best(self) -> int | None:
        """The line of `epochs` with the least validation error, the first of equals."""
        errors = self.epochs["validation_error"]
        return int(np.nanargmin(errors)) if np.isfinite(errors).any() else None


STEP_COLUMNS = ("step", "epoch", "loss", "error", "rate", "images_per_second", "seconds")
EPOCH_COLUMNS = (
    *("epoch", "step", "training_loss", "training_error"),
    *("validation_loss", "validation_error", "validation_error_top5", "validation_mean_iou", "rate", "seconds"),
)


def read_curves(metrics: Iterable[Mapping[str, Any]]) -> Curves:
    """The figures of a log, in the order of its steps; what a resumption has done again is counted once."""
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
    """Buckets of neighboring values: least, mean and largest of each, at its mean place; NaN where none is finite."""

    x: Figures
    low: Figures
    mean: Figures
    high: Figures


def thin(x: Figures, y: Figures) -> Thinned:
    """About a thousand points for any number of values: at most 330 buckets of equal numbers of them.

    Sixty values or fewer stay as they are. What is not finite is left out of its bucket.
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
