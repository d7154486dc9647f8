"""Trains a run to its end while it is killed again and again; `test_kill.py` runs this script.

Each attempt is a fork of a process that has imported everything but has computed nothing: a real process that is ended
by a real SIGKILL, without the seconds that imports take.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

import torch  # noqa: F401 # imported once, before the forks

from netspec.lowering import find_backend
from netspec.spec import read_spec
from netspec.training.events import Observers, StepDone
from netspec.training.options import TrainOptions
from netspec.training.run import train
from tests.waiting import HANG

CHECKPOINT = Path("checkpoints") / "last.safetensors"
ENOUGH = 15  # steps after which an attempt is killed even if its time is not over
MOST = 24  # steps after which an attempt waits to be killed: so the run cannot end before the last kill
STEP = 0.02  # seconds: about a step, of which its checkpoint takes most


class Patient(Observers):
    """Waits for a signal after a number of steps."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self._left = steps

    def step(self, event: StepDone) -> None:
        self._left -= 1
        if not self._left:
            signal.pause()


def attempt(spec: str, data: str, out: Path, name: str, observer: Observers) -> int:
    """Start a process that continues the run, or begins it, and return its id."""
    child = os.fork()
    if child:
        return child
    try:
        begun = (out / name / CHECKPOINT).is_file()
        # A run that was killed before its first checkpoint has lost everything, and its folder is in the way.
        unbegun = out / name
        if not begun and unbegun.exists():
            unbegun.rename(out / f"{name}-killed-{time.monotonic_ns()}")
        options = TrainOptions(data=data, holdout=0.2, out=out, name=name, resume=begun, checkpoint_every=1)
        train(read_spec(spec), find_backend("torch"), options, observer)
        os._exit(0)
    except BaseException as error:  # noqa: BLE001 # a child must not run on into the parent's code
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(1)


def wait(metrics: Path, seconds: float, steps: int) -> None:
    """Wait until the time is over, or the attempt has taken enough steps."""

    def taken() -> int:
        return metrics.read_bytes().count(b'"kind": "step"') if metrics.is_file() else 0

    until, before = time.monotonic() + seconds, taken()
    while time.monotonic() < until and taken() < before + steps:
        time.sleep(0.01)


def main(spec: str, data: str, out: str, kills: str) -> None:
    """Kill this many attempts, then let one end; print how many kills came while a file was written."""
    moments = random.Random()  # noqa: S311 # not secrets
    interrupted = 0
    for number in range(int(kills)):
        child = attempt(spec, data, Path(out), "killed", Patient(MOST))
        metrics = Path(out, "killed", "metrics.jsonl")
        if number % 2:  # at any moment, of the start too
            wait(metrics, moments.uniform(0.05, 0.6), ENOUGH)
        else:  # at any moment of a step, however long the start takes
            wait(metrics, HANG, moments.randint(1, ENOUGH))
            time.sleep(moments.uniform(0, STEP))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), "the run ended, or failed, before it was killed"
        interrupted += any(Path(out, "killed", "checkpoints").glob(".*"))
    _, status = os.waitpid(attempt(spec, data, Path(out), "killed", Observers()), 0)
    assert status == 0
    print(interrupted)


if __name__ == "__main__":
    main(*sys.argv[1:])
