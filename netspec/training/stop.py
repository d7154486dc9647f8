"""Stopping a run by a signal: received at any time, acted upon between two steps."""

from __future__ import annotations

import signal
import threading
from signal import Signals
from types import FrameType
from typing import Any, Self

from netspec.training.checkpoint import Position


class StopRequested(Exception):  # noqa: N818 # a requested stop is not an error
    """Raised to end the run at a position, of which a checkpoint has been written.

    Attributes:
        position: the position.
        signal: the signal that this process, or another one, received.
    """

    def __init__(self, position: Position, signal: Signals) -> None:
        super().__init__()
        self.position, self.signal = position, signal


class StopSignals:
    """A context in which SIGINT, SIGTERM and SIGHUP set `received`; a second signal that is SIGINT interrupts at once.

    SIGHUP, of a closed terminal, stays ignored where it is, as under nohup. Signal handlers are installed in the main
    thread only, since Python forbids it in others.
    """

    def __init__(self) -> None:
        self.received: Signals | None = None
        self._previous: dict[Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, *_hangup()):
                self._previous[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = Signals(number)


def _hangup() -> list[Signals]:
    """SIGHUP, unless it is ignored, or the system lacks it."""
    number = getattr(signal, "SIGHUP", None)
    return [number] if number is not None and signal.getsignal(number) is not signal.SIG_IGN else []
