"""Processes of this machine, one for each tower, that all receive the same requests."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NoReturn, Protocol, cast

import numpy as np

from netspec.errors import BackendError, VerificationError
from netspec.lowering import StepResult
from netspec.verify.towers.protocol import Reply, Request, receive, send

GRACE = 2.0  # seconds to wait for the exit code of the process that caused the others' errors


class Process(Protocol):
    """The part of `subprocess.Popen` that is used here."""

    def poll(self) -> int | None:
        """The exit code, or None while the process runs."""

    def kill(self) -> None:
        """End the process at once."""

    def wait(self) -> int:
        """Wait for the process to end, and return its exit code."""


def start_process(environment: Mapping[str, str]) -> tuple[Process, Connection[Any, Any]]:
    """Start a tower's process; return it with the connection to it.

    It is a new Python interpreter with this one's module search path, since a fork would lack PyTorch's threads. It has
    its own session, so that signals of a terminal, such as Ctrl-C, reach only this process.
    """
    ours, theirs = Pipe()
    path = os.pathsep.join(place or str(Path.cwd()) for place in sys.path)
    with theirs:  # closed here, so that the connection ends when the process does
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "netspec.verify.towers.worker"],
            stdin=theirs.fileno(),
            env=os.environ | environment | {"PYTHONPATH": path},
            start_new_session=True,
        )
    return process, ours


class Processes:
    """Processes of this machine, one for each tower, that all do the same. They end when this process does."""

    def __init__(self, towers: int) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="netspec-towers-")
        self._meetings = 0
        self._connections: list[Connection[Any, Any]] = []
        self._processes: list[Process] = []
        for tower in range(towers):
            process, connection = start_process(
                {"RANK": f"{tower}", "LOCAL_RANK": f"{tower}", "WORLD_SIZE": f"{towers}"}
            )
            self._connections.append(connection)
            self._processes.append(process)

    @property
    def alive(self) -> bool:
        """Whether the processes can receive requests."""
        return bool(self._connections)

    def new_meeting(self) -> str:
        """The address at which the processes form their next group: a new file, since a port might be taken."""
        self._meetings += 1
        return Path(self._folder.name, f"meeting{self._meetings}").as_uri()

    def ask(self, what: str, *arguments: Any, **options: Any) -> Any:
        """Send a request to all processes, wait for all replies, and return the first tower's.

        Raises:
            BackendError: a process ended, or raised a NetspecError. All processes are ended.
            RuntimeError: a process met a defect; the message has its traceback. All processes are ended.
            VerificationError: the replies differ.
        """
        try:
            for connection in self._connections:
                with suppress(OSError):  # a process that is gone is reported below
                    send(connection, Request(what, arguments, options))
            replies = self._replies()
        except BaseException:  # late replies would be taken for those to the next request
            self.end()
            raise
        first = replies[0]
        for tower, reply in sorted(replies.items()):
            if reply.checksum != first.checksum or not _agree(reply.value, first.value):
                raise VerificationError(f"towers 0 and {tower} do not agree: {_difference(what, first, reply)}")
        return first.value

    def _replies(self) -> dict[int, Reply]:
        waiting = {connection: tower for tower, connection in enumerate(self._connections)}
        replies: dict[int, Reply] = {}
        while waiting:
            for ready in wait([*waiting]):
                connection = cast("Connection[Any, Any]", ready)
                tower = waiting.pop(connection)
                try:
                    replies[tower] = reply = receive(connection)
                except (EOFError, OSError):
                    self._fail(f"process {tower} of {len(self._processes)} is gone", "")
                if reply.trace:
                    raise RuntimeError(f"in the process of tower {tower}: {reply.trace}")
                if reply.error is not None:
                    self._fail(*reply.error)
        return replies

    def _fail(self, message: str, hint: str) -> NoReturn:
        """End all processes and raise; if one ended by itself, that is the cause of the others' errors."""
        until = time.monotonic() + GRACE
        while not any(codes := [process.poll() for process in self._processes]) and time.monotonic() < until:
            time.sleep(0.02)
        self.end()
        for tower, code in enumerate(codes):
            if code:
                raise BackendError(
                    f"the process of tower {tower} ended of itself, with exit code {code}",
                    "-9: probably out of memory; 1: NETSPEC_DEBUG=1 shows the traceback",
                )
        raise BackendError(message, hint)

    def end(self) -> None:
        """End all processes at once."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()
        for connection in self._connections:
            connection.close()
        self._connections.clear()
        self._folder.cleanup()


def _agree(one: Any, other: Any) -> bool:
    match one, other:
        case (StepResult(loss=loss, wrong=wrong), StepResult()):
            return wrong == other.wrong and np.array_equal(loss, other.loss, equal_nan=True)
        case (np.ndarray(), np.ndarray()):
            return np.array_equal(one, other, equal_nan=True)
        case _:
            return True  # other arrays are compared by checksum, and notes need not agree


def _difference(what: str, first: Reply, other: Reply) -> str:
    if isinstance(first.value, StepResult) and not _agree(first.value, other.value):
        return f"a step's loss is {first.value.loss!r} in one and {other.value.loss!r} in the other"
    subject = {
        "forward": "the outputs",
        "predict": "the logits",
        "gradients": "the gradients",
        "export_state": "the weights, or what the optimizer keeps for them,",
    }
    return f"{subject.get(what, 'the gradients of a step')} that both have whole are not the same to the bit"
