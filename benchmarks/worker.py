"""Runs a subject in its own process and measures it on request.

Separate processes keep threads, allocators and peak memory of two subjects apart. Only one of them works at a time.

    python benchmarks/worker.py MODULE:FUNCTION ARGUMENTS

creates the subject `subjects.MODULE.FUNCTION(**ARGUMENTS)`, where ARGUMENTS is JSON, and answers requests on stdin:

    time N         the seconds of a call: the mean of N calls, after a warm-up call if N > 1
    peak           the peak memory of the process during a call, in MiB
    output PATH    writes the array that the subject computes to PATH
"""

from __future__ import annotations

import gc
import importlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).parent


class Worker:
    """The process of a subject, as its parent sees it."""

    def __init__(self, subject: str, arguments: dict[str, Any]) -> None:
        command = [sys.executable, str(HERE / "worker.py"), subject, json.dumps(arguments)]
        self._stderr = tempfile.TemporaryFile("w+")  # noqa: SIM115 # printed only if the process fails
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=self._stderr, text=True)
        self._name = f"{subject} {arguments}"
        self._read()

    def seconds(self, calls: int) -> float:
        """Return the mean time of a call."""
        return float(self._ask(f"time {calls}"))

    def peak(self) -> float:
        """Return the peak memory of the process during a call. Units: MiB."""
        return float(self._ask("peak"))

    def output(self, path: Path) -> NDArray[Any]:
        """Return the array that the subject computes, by way of a file."""
        self._ask(f"output {path}")
        array: NDArray[Any] = np.load(path)
        return array

    def close(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.wait()

    def _ask(self, request: str) -> str:
        assert self._process.stdin is not None
        print(request, file=self._process.stdin, flush=True)
        return self._read()

    def _read(self) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:  # frameworks may print other lines
            if line.startswith("answer "):
                return line.removeprefix("answer ").strip()
        code = self._process.wait()
        self._stderr.seek(0)
        raise SystemExit(f"{self._stderr.read()}\n{self._name}: its process ended with {code}")


def serve(subject: Callable[[], float | None]) -> None:
    """Answer the requests on stdin until it is closed."""
    subject()
    # What frameworks imported is left out of collections: the longer of two calls would pay for most of them.
    gc.collect()
    gc.freeze()
    print("answer ready", flush=True)
    for line in sys.stdin:
        verb, _, argument = line.strip().partition(" ")
        match verb:
            case "time":
                answer = str(mean_seconds(subject, int(argument)))
            case "peak":
                answer = str(peak(subject))
            case "output":
                np.save(argument, subject.output())  # type: ignore[attr-defined] # subjects of `same_outputs` rows
                answer = argument
            case _:
                raise SystemExit(f"expected time, peak or output, received {line!r}")
        print("answer", answer, flush=True)


def mean_seconds(subject: Callable[[], float | None], calls: int) -> float:
    """Return the mean time of a call; a subject may return a time that it has measured itself."""
    if calls > 1:
        subject()
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        measured = subject()
        times.append(time.perf_counter() - start if measured is None else measured)
    return sum(times) / calls


def peak(subject: Callable[[], object]) -> float:
    """Return the peak resident memory of this process during a call, from /proc. Units: MiB."""
    Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark
    subject()
    (peak_line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(peak_line.split()[1]) / 1024


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    module, _, function = sys.argv[1].partition(":")
    serve(getattr(importlib.import_module(f"subjects.{module}"), function)(**json.loads(sys.argv[2])))
