"""The settings of a run that are not part of its spec."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Final, Literal, get_args

from netspec.errors import NetspecError, require_one_of
from netspec.lowering.trainer import PATIENCE, Device, Precision
from netspec.passes import Level
from netspec.training.data.findings import OnBadSample

Parallel = Literal["data", "towers"]
_CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "device": get_args(Device),
    "precision": get_args(Precision),
    "optimize": get_args(Level),
    "on_bad_sample": get_args(OnBadSample),
    "parallel": get_args(Parallel),
}


@dataclass(frozen=True)
class TrainOptions:
    """The data and the output folder of a run, and how it computes. Each path may be a string or a `Path`.

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

    Raises:
        NetspecError: a choice is none of those above, or a number is too small.
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
    parallel: Parallel = "data"
    timeout: float = PATIENCE
    checkpoint_every: int = 1000

    def __post_init__(self) -> None:
        for name, kind in (("data", str), ("validation", str), ("out", Path), ("weights", Path)):
            value = getattr(self, name)
            if isinstance(value, str | PathLike):
                object.__setattr__(self, name, kind(value))
        for name, choices in _CHOICES.items():
            require_one_of(name, getattr(self, name), choices)
        for name, least in (("workers", 0), ("checkpoint_every", 1), ("timeout", 1)):
            if not getattr(self, name) >= least:  # a timeout that is not a number neither
                raise NetspecError(f"{name}: expected a number of at least {least}, received {getattr(self, name)}")
