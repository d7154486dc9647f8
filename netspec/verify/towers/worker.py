"""One tower's process: it makes models and trainers, and does with them what it is asked to, until nobody asks."""

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
from netspec.lowering import Backend, Gradients, Model, StepResult, Trainer, TrainingState, at_level, find_backend
from netspec.ops.base import Array
from netspec.verify.towers.talk import Reply, Request, receive, send

FIRST = "0"  # the rank of the one whose arrays are wanted


def serve(connection: Connection[Any, Any]) -> None:
    """Be one of the processes of a network: what a `Model` or a `Trainer` can be asked, one after the other.

    Who asks is listened to in a thread, so that its end is the end of this, whatever is under way here.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who asks
    requests: SimpleQueue[Request] = SimpleQueue()
    Thread(target=_listen, args=(connection, requests), daemon=True).start()
    tower = _Tower()
    with suppress(OSError):  # who asked is gone
        while True:
            send(connection, tower.answer(requests.get()))


def _listen(connection: Connection[Any, Any], requests: SimpleQueue[Request]) -> None:
    with suppress(EOFError, OSError):
        while True:
            requests.put(receive(connection))
    os._exit(1)


class _Tower:
    """A process's model or trainer, and what it says. It is asked for a backend first, then for one of these."""

    _backend: Backend
    _made: Model | Trainer

    def answer(self, request: Request) -> Reply:
        """The result, or why there is none."""
        try:
            value = self._asked(request.what)(*request.arguments, **(request.options or {}))
        except NetspecError as error:
            return Reply(error=(error.message, error.hint))
        except Exception:  # noqa: BLE001 # told where it can be shown
            return Reply(trace=traceback.format_exc())
        return _reply(value)

    def _asked(self, what: str) -> Callable[..., Any]:
        own: dict[str, Callable[..., Any]] = {"backend": self._choose, "model": self._load, "trainer": self._begin}
        found: Callable[..., Any] = own[what] if what in own else getattr(self._made, what)
        return found

    def _choose(self, name: str, optimize: Any) -> None:
        self._backend = at_level(find_backend(name), optimize)

    def _load(self, graph: Any, weights: Any, settings: Any) -> None:
        self._made = self._backend.load_tower(graph, weights, settings)

    def _begin(self, graph: Any, weights: Any, settings: Any) -> tuple[str, ...]:
        trainer = self._made = self._backend.trainer(graph, weights, settings)
        return trainer.notes


def _reply(value: Any) -> Reply:
    """Of the first tower all of it; of the others what is small, and the checksum of the rest."""
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
    """Of names and bytes."""
    found = 0
    for name, array in arrays.items():
        found = zlib.crc32(np.ascontiguousarray(array).data, zlib.crc32(name.encode(), found))
    return found


if __name__ == "__main__":
    given = Connection(os.dup(0))  # what the process that started this gave it for its standard input
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # what libraries print is no result of the command
    serve(given)
