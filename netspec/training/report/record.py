"""The data of a report."""

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
    """The data of a report on a training run, finished or stopped.

    Attributes:
        name: the name of the run.
        spec: the resolved spec as YAML.
        graph: the graph of the spec.
        backend, device: the backend that trained it, and the device.
        started, finished: times, with or without a time zone.
        metrics: the lines of `metrics.jsonl` as dictionaries of `kind` step or epoch, in the order of the file. A line
            that goes back to an earlier step, as after resuming, replaces all later steps that precede it.
        weights: canonical weights, of which those of the first layer are shown.
        versions: package versions by name.
        recipe: the rows of the recipe table, as pairs of name and value.
        notes: notes for the reader: precision, determinism, an early end.
        classes: class names by number.
        confusion: the number of samples, or pixels, by true class (rows) and predicted class (columns); None without
            validation. Shape: (classes, classes).
        samples: for a generator, the PNG of a sheet of samples; None for other networks.
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
    samples: bytes | None = None

    @property
    def counted(self) -> str:
        """What errors count: `samples`, or `pixels` in segmentation."""
        of_maps = self.graph.type_of(self.graph.outputs[0]).rank == 4 and self.samples is None
        return "pixels" if of_maps else "samples"
