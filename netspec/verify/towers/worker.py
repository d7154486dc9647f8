"""A tower's process: it makes models and trainers, and calls their methods on request."""

from __future__ import annotations

import os
import signal
import traceback
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Thread
from typing import Any

import numpy as np

from netspec.errors import NetspecError
from netspec.graph import Graph
from netspec.lowering import (
    Backend,
    Gradients,
    Model,
    StepResult,
    TowerSettings,
    Trainer,
    TrainerSettings,
    TrainingState,
    at_level,
    find_backend,
)
from netspec.ops.base import Array, Weights
from netspec.passes import Level
from netspec.verify.towers.protocol import Reply, Request, receive, send

FIRST = "0"  # the rank of the tower whose reply has the arrays


def serve(connection: Connection[Any, Any]) -> None:
    """Answer requests, one after the other, until the process that sends them is gone.

    A thread receives them, so that this process ends with the sender even during a long computation.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is handled by the process that sends the requests
    requests: SimpleQueue[Request] = SimpleQueue()
    Thread(target=_listen, args=(connection, requests), daemon=True).start()
    tower = _Tower()
    with suppress(OSError):  # the sender is gone
        while True:
            send(connection, tower.answer(requests.get()))


def _listen(connection: Connection[Any, Any], requests: SimpleQueue[Request]) -> None:
    with suppress(EOFError, OSError):
        while True:
            requests.put(receive(connection))
    os._exit(1)


class _Tower:
    """A process's backend, and its model or trainer. The first request chooses the backend."""

    _backend: Backend
    _network: Model | Trainer

    def answer(self, request: Request) -> Reply:
        """Make the call; reply with its result or its error."""
        try:
            value = self._function(request.what)(*request.arguments, **(request.options or {}))
        except NetspecError as error:
            return Reply(error=(error.message, error.hint))
        except Exception:  # noqa: BLE001 # reported by the process that sent the request
            return Reply(trace=traceback.format_exc())
        return _reply(value)

    def _function(self, what: str) -> Callable[..., Any]:
        makers: dict[str, Callable[..., Any]] = {"backend": self._choose, "model": self._load, "trainer": self._begin}
        function: Callable[..., Any] = makers[what] if what in makers else getattr(self._network, what)
        return function

    def _choose(self, name: str, optimize: Level) -> None:
        self._backend = at_level(find_backend(name), optimize)

    def _load(self, graph: Graph, weights: Weights, settings: TowerSettings) -> None:
        self._network = self._backend.load_tower(graph, weights, settings)

    def _begin(self, graph: Graph, weights: Weights, settings: TrainerSettings) -> tuple[str, ...]:
        trainer = self._network = self._backend.trainer(graph, weights, settings)
        return trainer.notes


def _reply(value: Any) -> Reply:
    """The reply with a result. Towers other than the first send a checksum in place of the arrays."""
    whole = os.environ["RANK"] == FIRST
    match value:
        case StepResult(gradients=gradients):
            return Reply(value if whole else replace(value, gradients=None), checksum_of(gradients or {}))
        case Gradients():
            arrays = {f"input/{name}": array for name, array in value.inputs.items()} | value.weights
            return Reply(value if whole else Gradients({}, {}), checksum_of(arrays))
        case dict():  # values by name
            return Reply(value if whole else {}, checksum_of(value))
        case TrainingState():
            arrays = {f"{s}/{n}": a for s, of in value.slots.items() for n, a in of.items()} | value.weights
            return Reply(value if whole else TrainingState({}), checksum_of(arrays))
        case _:
            return Reply(value)


def checksum_of(arrays: Mapping[str, Array]) -> int:
    """A CRC-32 of the arrays' names and bytes."""
    checksum = 0
    for name, array in arrays.items():
        checksum = zlib.crc32(np.ascontiguousarray(array).data, zlib.crc32(name.encode(), checksum))
    return checksum


if __name__ == "__main__":
    connection = Connection(os.dup(0))  # passed as the standard input
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # output of libraries is not a result of the command
    serve(connection)
