"""Interrupts (Ctrl-C) that end the command wherever they arrive, even in a finalizer or a library that drops them."""

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

RESEND_DELAY: Final = 0.02  # seconds after which an interrupt that was lost in a finalizer is sent again

_received: list[int] = []


@contextmanager
def recorded_interrupts() -> Iterator[list[int]]:
    """Raise KeyboardInterrupt at each SIGINT as usual, and yield the list of those received so far.

    An interrupt can get lost in two places. While a compiled module is imported, it becomes an ImportError (`cannot
    import name …`), which the importing library may catch; the list tells that there was an interrupt. In a finalizer
    Python prints a traceback and goes on; the interrupt is then sent again.
    """
    _received.clear()
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield _received
        return
    previous_hook = sys.unraisablehook

    def resend(unraisable: UnraisableHookArgs) -> None:
        if unraisable.exc_type is KeyboardInterrupt:
            timer = threading.Timer(RESEND_DELAY, os.kill, (os.getpid(), signal.SIGINT))
            timer.daemon = True
            timer.start()
        else:
            previous_hook(unraisable)

    signal.signal(signal.SIGINT, _record_and_raise)
    sys.unraisablehook = resend
    try:
        yield _received
    finally:
        sys.unraisablehook = previous_hook
        signal.signal(signal.SIGINT, signal.default_int_handler)


def raise_if_interrupted() -> None:
    """Raise KeyboardInterrupt if an interrupt was received and a library dropped it. Called between two stages."""
    if _received:
        raise KeyboardInterrupt


def _record_and_raise(number: int, frame: object) -> None:
    del frame
    _received.append(number)
    raise KeyboardInterrupt
