"""A subject in a process of its own, which takes its turn when it is told to.

Two processes keep what one would mix up: threads, allocators, peak memory. Only one of them works at a time.

    python benchmarks/worker.py MODULE:FUNCTION ARGUMENTS

makes the subject `subjects.MODULE.FUNCTION(**ARGUMENTS)`, ARGUMENTS being JSON, and answers lines of stdin: `time N`
with the seconds of a call, the mean of N after one that is not counted; `peak` with the most MiB that the process
holds during a call; `output PATH` by writing there what the subject computes, as an array.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).parent


class Worker:
    """The parent's end of a subject's process."""

    def __init__(self, subject: str, arguments: dict[str, Any]) -> None:
        command = [sys.executable, str(HERE / "worker.py"), subject, json.dumps(arguments)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._process = process
        self._name = f"{subject} {arguments}"
        self._read()

    def seconds(self, calls: int) -> float:
        """Of one call, the mean of several."""
        return float(self._ask(f"time {calls}"))

    def peak(self) -> float:
        """The most memory that the process holds during a call. Units: MiB."""
        return float(self._ask("peak"))

    def output(self, path: Path) -> NDArray[Any]:
        """What the subject computes."""
        self._ask(f"output {path}")
        array: NDArray[Any] = np.load(path)
        return array

    def close(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.wait()

    def _ask(self, line: str) -> str:
        assert self._process.stdin is not None
        print(line, file=self._process.stdin, flush=True)
        return self._read()

    def _read(self) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:  # whatever a framework prints besides is passed over
            if line.startswith("answer "):
                return line.removeprefix("answer ").strip()
        raise SystemExit(f"{self._name}: its process ended with {self._process.wait()}")


def serve(subject: Callable[[], float | None]) -> None:
    """Answer lines until there are no more."""
    subject()
    print("answer ready", flush=True)
    for line in sys.stdin:
        verb, _, argument = line.strip().partition(" ")
        match verb:
            case "time":
                answer = str(mean_seconds(subject, int(argument)))
            case "peak":
                answer = str(peak(subject))
            case "output":
                np.save(argument, subject.output())  # type: ignore[attr-defined] # those that are compared have one
                answer = argument
            case _:
                raise SystemExit(f"expected time, peak or output, received {line!r}")
        print("answer", answer, flush=True)


def mean_seconds(subject: Callable[[], float | None], calls: int) -> float:
    """Of one call; a subject that takes its own time returns it."""
    if calls > 1:
        subject()
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        own = subject()
        times.append(time.perf_counter() - start if own is None else own)
    return sum(times) / calls


def peak(subject: Callable[[], object]) -> float:
    """The most memory that this process holds during a call, as Linux counts it. Units: MiB."""
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark begins anew
    subject()
    (line,) = (x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    module, _, function = sys.argv[1].partition(":")
    serve(getattr(importlib.import_module(f"subjects.{module}"), function)(**json.loads(sys.argv[2])))
