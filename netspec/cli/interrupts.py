"""Interrupts that end the command wherever they come: in a finalizer, and where a library swallows them."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

AGAIN: Final = 0.02  # seconds after which an interrupt that came in a finalizer comes again

_received: list[int] = []


@contextmanager
def interrupts() -> Iterator[list[int]]:
    """The interrupts that came meanwhile, each raised as ever.

    Compiled modules that are being imported lose one: what is seen is their ImportError, of a name that they lack, or
    nothing, where that is caught. Python loses one that comes in a finalizer, and prints a traceback; it comes again.
    """
    _received.clear()
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield _received
        return
    unraisable = sys.unraisablehook

    def again(found: UnraisableHookArgs) -> None:
        if found.exc_type is KeyboardInterrupt:
            timer = threading.Timer(AGAIN, os.kill, (os.getpid(), signal.SIGINT))
            timer.daemon = True
            timer.start()
        else:
            unraisable(found)

    signal.signal(signal.SIGINT, _interrupt)
    sys.unraisablehook = again
    try:
        yield _received
    finally:
        sys.unraisablehook = unraisable
        signal.signal(signal.SIGINT, signal.default_int_handler)


def raise_lost() -> None:
    """Raise the interrupt that a library swallowed, if one came: between two stages of a command, none is under way."""
    if _received:
        raise KeyboardInterrupt


def _interrupt(number: int, frame: object) -> None:
    del frame
    _received.append(number)
    raise KeyboardInterrupt
