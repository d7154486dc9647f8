"""The settings of a run that are not part of its spec."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from netspec.lowering.trainer import PATIENCE, Device, Precision
from netspec.passes import Level
from netspec.training.data.findings import OnBadSample


@dataclass(frozen=True)
class TrainOptions:
    """The data and the output folder of a run, and how it computes.

    Attributes:
        data: `digits`, a local path, or a URL that fsspec opens.
        validation: a separate validation set, if `data` has no validation part.
        holdout: the share of `data` to hold back for validation, if there is neither; 0.1 by default.
        name: the name of the run; by default the spec's, with a number added if that name is taken.
        out: the folder of all runs.
        resume: whether to continue the run of this name.
        weights: a file of initial weights, instead of freshly drawn ones.
        device, precision: the device to compute on, and the precision to compute in.
        optimize: the optimization passes applied to the training graph; its weights stay those of the spec.
        exact: whether dropout masks come from a stream that all backends share, which makes their runs the same.
        workers: the number of processes that read batches; 0 uses threads.
        on_bad_sample: whether a sample that cannot be read ends the run or is skipped.
        parallel: whether processes divide only the samples, or also the network, by its placement.
        timeout: how long the processes of a distributed run wait for one another. Units: seconds.
        checkpoint_every: optimizer steps between checkpoints, in addition to one after each epoch.
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
