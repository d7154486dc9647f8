"""Python programs in processes of their own, without the seconds that imports take.

Each is a fork of a process that has imported PyTorch and netspec but has computed nothing. It is a real process: it has
the command line of a program, can be killed by signals, and can meet others over sockets. What a program imports, what
torchrun starts, and a process that begins with empty memory are tested with `subprocess` instead.
"""

from __future__ import annotations

import atexit
import gc
import multiprocessing
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from multiprocessing import forkserver
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest

from netspec.verify.towers.worker import serve
from tests.waiting import HANG, wait_until

IMPORTED = [
    *("torch.distributed", "torch._dynamo", "grain", "tensorboardX"),
    *("netspec_torch.trainer", "netspec.cli.train", "netspec.spec", "netspec.training.data.digits"),
    *("netspec.training.report.page", "netspec.training.run"),
    __name__,  # the last one, for it keeps what has been imported
]
SERVER = "NETSPEC_TESTS_FORK_SERVER"  # the variable by which the server knows itself when it imports this module


@cache
def context() -> Any:
    """Return the multiprocessing context whose processes are forks of one server, with one thread for PyTorch."""
    forking = multiprocessing.get_context("forkserver")
    forking.set_forkserver_preload(IMPORTED)
    with mock.patch.dict(os.environ, {"OMP_NUM_THREADS": "1", SERVER: "1"}):
        forkserver.ensure_running()
    return forking


def fork_towers(patch: pytest.MonkeyPatch, fault: Callable[[], object] | None = None) -> None:
    """Make the processes of `verify_towers` forks too. Each first calls `fault`, which plants a fault in it."""
    patch.setattr("netspec.verify.towers.processes.start_process", partial(_fork_tower, fault))


def _fork_tower(fault: Callable[[], object] | None, environment: Mapping[str, str]) -> tuple[Any, Any]:
    ours, theirs = context().Pipe()
    process = context().Process(target=_serve_tower, args=(theirs, fault, {**os.environ, **environment}))
    process.start()
    theirs.close()

    def wait() -> int:
        process.join()
        return int(process.exitcode)

    return SimpleNamespace(poll=lambda: process.exitcode, kill=process.kill, wait=wait), ours


def _serve_tower(connection: Any, fault: Callable[[], object] | None, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    if fault is not None:
        fault()
    serve(connection)


class Forked:
    """A running program, with the part of the interface of `subprocess.Popen` that tests use. Its streams are text.

    Args:
        arguments: what follows `python` on the command line: `-m MODULE …`, `-c CODE …` or `SCRIPT …`.
        environment: variables to set in addition to those of this process.
        port: a socket to keep open as long as the program may use its port, so that no other program gets it.
    """

    def __init__(
        self, arguments: Sequence[str], environment: Mapping[str, str] | None = None, port: socket.socket | None = None
    ) -> None:
        self._port = port
        self._folder = tempfile.TemporaryDirectory(prefix="forked-")
        self._streams = [Path(self._folder.name, name) for name in ("stdout", "stderr")]
        for stream in self._streams:
            stream.touch()  # a process that is killed early has written nothing
        variables = os.environ | {"OMP_NUM_THREADS": "1"} | (environment or {})
        self._process = context().Process(
            target=_run, args=([*arguments], variables, str(Path.cwd()), [*map(str, self._streams)])
        )
        self._process.start()
        self.pid: int = self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit code, or None while it runs; -9 if SIGKILL ended it."""
        code: int | None = self._process.exitcode
        return code

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait until it ends, and return what it wrote to stdout and stderr.

        Raises:
            subprocess.TimeoutExpired: it still runs after `timeout` seconds.
        """
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0)
        out, err = (path.read_text() for path in self._streams)
        return out, err

    def wait_for_lines(self, count: int) -> None:
        """Wait until it has printed this many lines.

        Raises:
            AssertionError: it ended after fewer lines.
        """

        def has_printed() -> bool:
            ended = self.returncode is not None  # checked first, so that all that it printed is read below
            printed = self._streams[0].read_text().count("\n")
            assert printed >= count or not ended, self.communicate()
            return printed >= count

        wait_until(has_printed, f"{count} lines")

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, as another process would."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """End it if it still runs."""
        self._process.kill()

    def wait(self) -> None:
        """Wait until it ends."""
        self._process.join()


def run(arguments: Sequence[str], timeout: float = HANG) -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    process = Forked(arguments)
    try:
        out, err = process.communicate(timeout)
    finally:
        process.kill()
    return subprocess.CompletedProcess([*arguments], process.returncode or 0, out, err)


def _run(arguments: list[str], environment: dict[str, str], folder: str, streams: list[str]) -> None:
    """Do in the forked process what `python` would do with these arguments."""
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


def _keep_what_was_imported() -> None:
    """Leave all objects of the server to the server.

    A full garbage collection visits every object, whose pages a fork would then have to copy: half a second for each
    process. And at its end, each would run what PyTorch leaves to be run at the end of the server.
    """
    gc.freeze()
    for finalizer in [*weakref.finalize._registry]:  # type: ignore[attr-defined] # there is no public list
        finalizer.atexit = False


if os.environ.pop(SERVER, None):
    _keep_what_was_imported()
