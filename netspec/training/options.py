"""What a run needs beside its spec."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from netspec.lowering.trainer import PATIENCE, Device, Precision
from netspec.passes import Level
from netspec.training.data.findings import OnBadSample


@dataclass(frozen=True)
class TrainOptions:
    """Where a run finds its data, where it leaves what comes of it, and how it computes.

    Attributes:
        data: `digits`, a local path, or a URL that fsspec opens.
        validation: another set to validate on; only where `data` is not divided itself.
        holdout: the share of `data` to validate on, likewise.
        name: of the run; the spec's, with a number where that is taken, when left out.
        out: the folder of all runs.
        resume: continue the run of this name.
        weights: to begin with, in place of freshly drawn ones.
        device, precision: what to compute on, and in.
        optimize: passes over the graph that is trained; its weights are the spec's.
        exact: take dropout masks from the shared stream: the same run in every backend.
        workers: processes that read batches; 0 reads them in threads.
        on_bad_sample: stop, or leave out what cannot be read.
        parallel: whether processes divide the samples alone, or the network too, by its placement.
        timeout: how long processes that train together wait for one another. Units: seconds.
        checkpoint_every: optimizer steps between checkpoints, besides one an epoch.
    """

    data: str = "digits"
    validation: str | None = None
    holdout: float | None = None
    name: str | None = None
    out: Path = Path("runs")
    resume: bool = False
    weights: Path | None = None
    device: Device = "auto"
    precision: Precision = "float32"
    optimize: Level = "training"
    exact: bool = False
    workers: int = 0
    on_bad_sample: OnBadSample = "fatal"
    parallel: Literal["data", "towers"] = "data"
    timeout: float = PATIENCE
    checkpoint_every: int = 1000
