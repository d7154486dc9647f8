"""Train a run to its end while it is killed, again and again: run as a script by `test_kill.py`.

Each attempt is a fork of a process that has imported everything and computed nothing: a real process with a real
SIGKILL, without the seconds that imports take.
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
from netspec.training.events import Observers
from netspec.training.options import TrainOptions
from netspec.training.run import train

CHECKPOINT = Path("checkpoints") / "last.safetensors"
MOST = (
    30  # lines of metrics that an attempt may write: however quick the machine, the run does not end before the kills
)


def attempt(spec: str, data: str, out: Path, name: str) -> int:
    """A child that continues the run, or begins it."""
    child = os.fork()
    if child:
        return child
    try:
        begun = (out / name / CHECKPOINT).is_file()
        # What was killed before its first checkpoint has lost everything, and its folder is in the way.
        unbegun = out / name
        if not begun and unbegun.exists():
            unbegun.rename(out / f"{name}-killed-{time.monotonic_ns()}")
        options = TrainOptions(data=data, holdout=0.2, out=out, name=name, resume=begun, checkpoint_every=1)
        train(read_spec(spec), find_backend("torch"), options, Observers())
        os._exit(0)
    except BaseException as error:  # noqa: BLE001 # a child must not run on into the parent's code
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(1)


def wait(metrics: Path, seconds: float) -> None:
    """Until the time is over, or the attempt has come far enough."""

    def lines() -> int:
        return metrics.read_bytes().count(b"\n") if metrics.is_file() else 0

    until, before = time.monotonic() + seconds, lines()
    while time.monotonic() < until and lines() < before + MOST:
        time.sleep(0.002)


def main(spec: str, data: str, out: str, kills: str) -> None:
    """Kill so many attempts, then let one end; print how often a kill fell into the writing of a file."""
    found = random.Random()  # noqa: S311 # moments, not secrets
    interrupted = 0
    for _ in range(int(kills)):
        child = attempt(spec, data, Path(out), "killed")
        wait(Path(out, "killed", "metrics.jsonl"), found.uniform(0.05, 0.6))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), "the run ended, or failed, before it was killed"
        interrupted += any(Path(out, "killed", "checkpoints").glob(".*"))
    _, status = os.waitpid(attempt(spec, data, Path(out), "killed"), 0)
    assert status == 0
    print(interrupted)


if __name__ == "__main__":
    main(*sys.argv[1:])
