"""One tower's process: it makes trainers, and does with them what it is asked to, until nobody asks any more."""

from __future__ import annotations

import os
import traceback
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from netspec.errors import NetspecError
from netspec.lowering import Backend, StepResult, Trainer, TrainingState
from netspec.ops.base import Array
from netspec.training.interrupts import end_with_parent
from netspec.verify.towers.talk import receive, send


@dataclass(frozen=True, slots=True)
class Reply:
    """What a process says to what it was asked.

    Attributes:
        value: the result; of towers but the first, without its arrays.
        checksum: of those arrays, which are to be the same in all towers.
        error: why there is none, where that is for the user to mend.
        trace: why there is none, where it is a defect.
    """

    value: Any = None
    checksum: int = 0
    error: tuple[str, str] | None = None
    trace: str = ""


def serve(connection: Connection[Any, Any], load: Callable[[], Backend], environment: Mapping[str, str]) -> None:
    """Be one of the processes that train together: what a `Trainer` can be asked, one after the other.

    Args:
        connection: to who asks.
        load: makes the backend.
        environment: what torchrun would set.
    """
    os.environ.update(environment)
    os.dup2(2, 1)  # what libraries print is no result of the command
    end_with_parent()
    tower = _Tower(load, whole=environment["RANK"] == "0")
    with suppress(EOFError, OSError):  # who asked is gone
        while True:
            send(connection, tower.answer(*receive(connection)))


class _Tower:
    """A process's trainer, and what it says."""

    def __init__(self, load: Callable[[], Backend], *, whole: bool) -> None:
        self._load, self._whole = load, whole
        self._backend: Backend | None = None
        self._trainer: Trainer | None = None

    def answer(self, asked: str, arguments: tuple[Any, ...], options: Mapping[str, Any]) -> Reply:
        """The result, or why there is none."""
        try:
            value = self._begin(*arguments) if asked == "trainer" else self._ask(asked)(*arguments, **options)
        except NetspecError as error:
            return Reply(error=(error.message, error.hint))
        except Exception:  # noqa: BLE001 # told where it can be shown
            return Reply(trace=traceback.format_exc())
        return self._reply(value)

    def _begin(self, graph: Any, weights: Any, settings: Any) -> tuple[str, ...]:
        self._backend = self._backend or self._load()
        self._trainer = self._backend.trainer(graph, weights, settings)
        return self._trainer.notes

    def _ask(self, asked: str) -> Callable[..., Any]:
        method: Callable[..., Any] = getattr(self._trainer, asked)
        return method

    def _reply(self, value: Any) -> Reply:
        """Of the first tower all of it; of the others what is small, and the checksum of the rest."""
        match value:
            case StepResult(gradients=gradients):
                own = value if self._whole else replace(value, gradients=None)
                return Reply(own, checksum_of(gradients or {}))
            case TrainingState():
                arrays = {f"{s}/{n}": a for s, of in value.slots.items() for n, a in of.items()} | value.weights
                return Reply(value if self._whole else TrainingState({}), checksum_of(arrays))
            case _:
                return Reply(value)


def checksum_of(arrays: Mapping[str, Array]) -> int:
    """Of names and bytes."""
    found = 0
    for name, array in arrays.items():
        found = zlib.crc32(np.ascontiguousarray(array).data, zlib.crc32(name.encode(), found))
    return found
