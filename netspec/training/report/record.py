"""What a report tells of, as the run leaves it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netspec.graph import Graph
from netspec.ops.base import Array


@dataclass(frozen=True)
class RunRecord:
    """A run of training, finished or stopped.

    Attributes:
        name: the run's.
        spec: the resolved spec as YAML.
        graph: what it elaborates to.
        backend, device: what trained it, on what.
        started, finished: when, with or without a time zone.
        metrics: the lines of `metrics.jsonl` in the order of the file, as dictionaries of `kind` step or epoch. A line
            that goes back to an earlier step, as after a resumption, takes the place of all later ones before it.
        weights: canonical, of which the first layer's are shown.
        versions: by package.
        recipe: rows of what was done: name and value.
        notes: what a reader has to know: precision, determinism, an early end.
        classes: names by class number.
        confusion: how many samples, or pixels, of each class (rows) were taken for which (columns); None without
            validation.
            Shape: (classes, classes).
    """

    name: str
    spec: str
    graph: Graph
    backend: str
    device: str
    started: datetime
    finished: datetime
    metrics: Sequence[Mapping[str, Any]]
    weights: Mapping[str, Array]
    versions: Mapping[str, str] = field(default_factory=dict)
    recipe: Sequence[tuple[str, str]] = ()
    notes: Sequence[str] = ()
    classes: Sequence[str] = ()
    confusion: NDArray[np.int64] | None = None

    @property
    def counted(self) -> str:
        """What is right or wrong, in the plural."""
        return "pixels" if self.graph.type_of(self.graph.outputs[0]).rank == 4 else "samples"
