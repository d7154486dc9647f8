"""A network in towers as a backend: its trainer is several processes of this machine, a tower each."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NoReturn, Protocol, Self, cast

import numpy as np
from numpy.typing import NDArray

from netspec.errors import BackendError, VerificationError
from netspec.graph import Graph
from netspec.lowering import Artifact, Backend, Batch, Model, StepResult, Trainer, TrainerSettings, TrainingState
from netspec.ops.base import Array, Weights
from netspec.passes import Level as Optimization
from netspec.verify.towers.talk import Reply, Request, receive, send

LAST_WORDS = 2.0  # seconds in which a process that caused what others complain of is seen to be gone


class InTowers(Backend):
    """A backend whose trainers are processes, one for each tower, started by the first and ended with this context.

    Args:
        backend: that trains in towers.
        towers: how many.
        optimize: the level at which it does. The processes find it by its name.
    """

    def __init__(self, backend: Backend, towers: int, optimize: Optimization = "none") -> None:
        self._backend, self._towers, self._optimize = backend, towers, optimize
        self.name = f"{backend.name} in {towers} towers"
        self.requires, self.dtypes, self.lowerings = backend.requires, backend.dtypes, backend.lowerings
        self.trains, self.in_towers = backend.trains, True
        self._processes: Processes | None = None

    def lower(self, graph: Graph) -> Artifact:
        """As the backend does, of the whole network."""
        return self._backend.lower(graph)

    def load(self, artifact: Artifact, weights: Weights, *, donated: bool = False) -> Model:
        """As the backend does, on one device."""
        return self._backend.load(artifact, weights, donated=donated)

    def write(self, artifact: Artifact, weights: Weights, folder: Path) -> list[Path]:
        """As the backend does, of the whole network."""
        return self._backend.write(artifact, weights, folder)

    def trainer(self, graph: Graph, weights: Weights, settings: TrainerSettings) -> Trainer:
        """One network in all the processes; another one takes the place of the one before.

        Raises:
            BackendError: a process ended, or cannot train this.
        """
        if self._processes is None:
            self._processes = Processes(self._towers)
            self._processes.ask("backend", self._backend.name, self._optimize)
        return TowersTrainer(self._processes, graph, weights, replace(settings, towers=self._towers))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._processes is not None:
            self._processes.end()


class TowersTrainer(Trainer):
    """What all towers make together, asked of all of them: each has to say the same.

    Args:
        processes: that train.
        graph: the whole network.
        weights: canonical arrays to begin with.
        settings: with the number of towers.
    """

    def __init__(self, processes: Processes, graph: Graph, weights: Weights, settings: TrainerSettings) -> None:
        self._processes = processes
        self.notes = processes.ask("trainer", graph, weights, replace(settings, meeting=processes.new_meeting()))

    def step(
        self, batches: Sequence[Batch], rate: float, total: int, key: int, *, keep_gradients: bool = False
    ) -> StepResult:
        """One step in all towers.

        Raises:
            VerificationError: they do not agree about its loss or its gradients.
            BackendError: a process ended, or cannot take it.
        """
        result: StepResult = self._processes.ask("step", batches, rate, total, key, keep_gradients=keep_gradients)
        return result

    def predict(self, inputs: NDArray[Any]) -> Array:
        """The logits, the same in all towers; see `step` for what is raised."""
        logits: Array = self._processes.ask("predict", inputs)
        return logits

    def export_state(self) -> TrainingState:
        """The state of the whole network, the same in all towers; see `step` for what is raised."""
        state: TrainingState = self._processes.ask("export_state")
        return state

    def import_state(self, state: TrainingState) -> None:
        """Give all of them the state; each takes its share."""
        self._processes.ask("import_state", state)

    def close(self) -> None:
        """Let the towers part; the processes wait for the next network."""
        if self._processes.alive:
            self._processes.ask("close")


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
    subject = {"predict": "the logits", "export_state": "the weights, or what the optimizer keeps for them,"}
    return f"{subject.get(what, 'the gradients of a step')} that both have whole are not the same to the bit"
