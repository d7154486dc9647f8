"""A small classifier of features, and data for it."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netspec.lowering import find_backend
from netspec.spec import read_spec
from netspec.training.events import EpochDone, Observers, StepDone
from netspec.training.options import TrainOptions
from netspec.training.run import train
from netspec.training.session import Outcome
from netspec.weights import read_arrays

SPEC = """\
name: small
input: {shape: [64]}
parameters: {classes: 5}
layers:
  fc1: {op: dense, units: 256, initialize: {weight: {variance_scaling: {}}}}
  norm: {op: batch_norm}
  relu: {op: relu}
  drop: {op: dropout, rate: 0.5}
  fc2: {op: dense, units: 64, initialize: {weight: {variance_scaling: {}}}}
  tanh: {op: tanh}
  fc3: {op: dense, units: "${classes}"}
training:
  batch_size: 16
  epochs: 4
  last_batch: keep
  optimizer: {name: sgd, learning_rate: 0.02, momentum: 0.9, weight_decay: 0.001}
  schedule: {name: plateau, patience: 1, threshold: 0.2}
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """A network with batch normalization, dropout and a plateau."""
    path = tmp_path / "small.yaml"
    path.write_text(SPEC)
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """400 samples of 64 features, five classes that can be told apart."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 5, 400)
    features = (random.standard_normal((400, 64)) + labels[:, None] / 4).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=features, y=labels)
    return tmp_path / "data.npz"


class Recorder(Observers):
    """Remembers what it is told, and may send a signal after a step."""

    def __init__(self, interrupt_after: int | None = None, number: signal.Signals = signal.SIGINT) -> None:
        super().__init__()
        self.steps: list[StepDone] = []
        self.epochs: list[EpochDone] = []
        self.notes: list[str] = []
        self._interrupt_after, self._number = interrupt_after, number

    def note(self, text: str) -> None:
        self.notes.append(text)

    def step(self, event: StepDone) -> None:
        self.steps.append(event)
        if event.step == self._interrupt_after:
            signal.raise_signal(self._number)

    def epoch(self, event: EpochDone) -> None:
        self.epochs.append(event)


def arrays(outcome: Outcome, name: str = "last") -> dict[str, np.ndarray[Any, Any]]:
    """The arrays of a checkpoint of a run."""
    assert outcome.folder is not None
    return read_arrays(getattr(outcome.folder, name))[0]


@pytest.fixture
def run(spec: Path, data: Path, tmp_path: Path) -> Callable[..., Outcome]:
    """Train the small network: `run(backend, settings, observer, **options)`."""

    def start(
        backend: str = "torch", settings: tuple[str, ...] = (), observer: Observers | None = None, **options: Any
    ) -> Outcome:
        chosen = replace(TrainOptions(data=str(data), holdout=0.2, out=tmp_path / "runs"), **options)
        return train(read_spec(spec, settings), find_backend(backend), chosen, observer or Observers())

    return start
