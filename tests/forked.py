"""Python programs in processes of their own, without the seconds that imports take.

Each is a fork of a process that has imported PyTorch and netspec, and computed nothing: a real process, that signals
end and that meets others, whose command line is a program's. What a program imports, what torchrun starts, and a
process that begins with an empty memory are tested with `subprocess`.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from multiprocessing import forkserver
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest

from netspec.verify.towers.worker import serve

IMPORTED = [
    *("torch.distributed", "torch._dynamo", "grain", "tensorboardX"),
    *("netspec_torch.trainer", "netspec.cli.train", "netspec.spec", "netspec.training.data.digits"),
    *("netspec.training.report.page", "netspec.training.run"),
]


@cache
def context() -> Any:
    """What makes processes: forks of one that is started here, with one thread for PyTorch."""
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload(IMPORTED)
    with mock.patch.dict(os.environ, {"OMP_NUM_THREADS": "1"}):
        forkserver.ensure_running()
    return made


def fork_towers(patch: pytest.MonkeyPatch, fault: Callable[[], object] | None = None) -> None:
    """Let the processes of `verify_towers` be forks too, each of which may first plant a fault in itself."""
    patch.setattr("netspec.verify.towers.processes.start_process", partial(_fork_tower, fault))


def _fork_tower(fault: Callable[[], object] | None, environment: Mapping[str, str]) -> tuple[Any, Any]:
    ours, theirs = context().Pipe()
    process = context().Process(target=_be_a_tower, args=(theirs, fault, {**os.environ, **environment}))
    process.start()
    theirs.close()

    def ended() -> int:
        process.join()
        return int(process.exitcode)

    return SimpleNamespace(poll=lambda: process.exitcode, kill=process.kill, wait=ended), ours


def _be_a_tower(connection: Any, fault: Callable[[], object] | None, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    if fault is not None:
        fault()
    serve(connection)


class Forked:
    """A program that runs, with as much of `subprocess.Popen` as tests use; its two streams are text.

    Args:
        arguments: as they follow `python`: `-m MODULE …`, `-c CODE …` or `SCRIPT …`.
        environment: variables to set beside those that are set here.
    """

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="forked-")
        self._streams = [Path(self._folder.name, name) for name in ("stdout", "stderr")]
        variables = os.environ | {"OMP_NUM_THREADS": "1"} | (environment or {})
        self._process = context().Process(
            target=_run, args=([*arguments], variables, str(Path.cwd()), [*map(str, self._streams)])
        )
        self._process.start()
        self.pid: int = self._process.pid

    @property
    def returncode(self) -> int | None:
        """How it ended, if it has: -9 by SIGKILL."""
        code: int | None = self._process.exitcode
        return code

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait for its end, and what it has written.

        Raises:
            subprocess.TimeoutExpired: it takes longer.
        """
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0)
        out, err = (path.read_text() for path in self._streams)
        return out, err

    def wait_for_lines(self, count: int, timeout: float = 120) -> None:
        """Until it has printed as many.

        Raises:
            subprocess.TimeoutExpired: it takes longer.
            AssertionError: it has ended with fewer.
        """
        until = time.monotonic() + timeout
        while not self._streams[0].exists() or self._streams[0].read_text().count("\n") < count:
            assert self.returncode is None, self.communicate()
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired(self._process.name, timeout)
            time.sleep(0.01)

    def send_signal(self, number: signal.Signals) -> None:
        """As another process would."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """End it, if it runs."""
        self._process.kill()

    def wait(self) -> None:
        """For its end."""
        self._process.join()


def run(arguments: Sequence[str], timeout: float = 240) -> subprocess.CompletedProcess[str]:
    """A program until it has ended."""
    process = Forked(arguments)
    try:
        out, err = process.communicate(timeout)
    finally:
        process.kill()
    return subprocess.CompletedProcess([*arguments], process.returncode or 0, out, err)


def _run(arguments: list[str], environment: dict[str, str], folder: str, streams: list[str]) -> None:
    """What the process does: what `python` would do with these arguments."""
    for number, path in enumerate(streams, 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), number)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", buffering=1, closefd=False)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        _run_program(arguments)
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()


def _run_program(arguments: list[str]) -> None:
    match arguments:
        case "-m", module, *rest:
            sys.argv = [module, *rest]
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        case "-c", code, *rest:
            sys.argv = ["-c", *rest]
            exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})  # noqa: S102 # a test's own
        case script, *rest:
            sys.argv = [script, *rest]
            runpy.run_path(script, run_name="__main__")
