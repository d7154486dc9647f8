"""Processes of this machine, a tower each, that are asked the same at the same time."""

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
from netspec.verify.towers.talk import Reply, Request, receive, send

LAST_WORDS = 2.0  # seconds in which a process that caused what others complain of is seen to be gone


class Process(Protocol):
    """What is asked of a process that was started here: as much of `subprocess.Popen`."""

    def poll(self) -> int | None:
        """How it ended, if it has."""

    def kill(self) -> None:
        """End it, whatever it does."""

    def wait(self) -> int:
        """How it ended, once it has."""


def start_process(environment: Mapping[str, str]) -> tuple[Process, Connection[Any, Any]]:
    """A tower's process, and who is asked there.

    It is a Python of its own, which finds the modules that this one finds: a fork would have half of PyTorch's threads.
    Of its own session too: what a terminal sends, as Ctrl-C, is for this one.
    """
    ours, theirs = Pipe()
    path = os.pathsep.join(place or str(Path.cwd()) for place in sys.path)
    with theirs:  # so that it is the process's alone, and its end shows here
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "netspec.verify.towers.worker"],
            stdin=theirs.fileno(),
            env=os.environ | environment | {"PYTHONPATH": path},
            start_new_session=True,
        )
    return process, ours


class Processes:
    """Processes of this machine, one a tower, that do the same at the same time. They end when this one does."""

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
        """Whether they are there to be asked."""
        return bool(self._connections)

    def new_meeting(self) -> str:
        """Where they are to meet: a file of its own for each group, so that no port can be taken."""
        self._meetings += 1
        return Path(self._folder.name, f"meeting{self._meetings}").as_uri()

    def ask(self, what: str, *arguments: Any, **options: Any) -> Any:
        """The first tower's answer, when all have given theirs.

        Raises:
            BackendError: a process ended, or one says why it cannot; all are ended then.
            VerificationError: the answers differ.
        """
        try:
            for connection in self._connections:
                with suppress(OSError):  # that it is gone is told below
                    send(connection, Request(what, arguments, options))
            replies = self._replies()
        except BaseException:  # what was asked is under way in them, and its answers would be taken for others
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
        """End all, and say why: that one of them ended is the reason for what the others complain of."""
        until = time.monotonic() + LAST_WORDS
        while not any(codes := [process.poll() for process in self._processes]) and time.monotonic() < until:
            time.sleep(0.02)
        self.end()
        for tower, code in enumerate(codes):
            if code:
                raise BackendError(
                    f"the process of tower {tower} ended of itself, with exit code {code}",
                    "-9: out of memory; of 1 NETSPEC_DEBUG=1 shows the traceback",
                )
        raise BackendError(message, hint)

    def end(self) -> None:
        """End them, whatever they are doing."""
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
            return True  # arrays are told apart by their checksum, and notes need not agree


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
