"""Interrupts that end the command wherever they arrive, even in a finalizer or a library that drops them.

An interrupt is Ctrl-C, the SIGTERM of `kill`, a container or a batch system, or the SIGHUP of a closed terminal. Each
raises KeyboardInterrupt, so that what is half written is removed on the way out.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from sys import UnraisableHookArgs
    from types import FrameType

RESEND_DELAY: Final = 0.02  # seconds after which an interrupt that came at a bad moment is sent again
MAX_POSTPONED: Final = 10  # times that an interrupt is put off: for a fifth of a second

# A handler that somebody else has installed stays, and so does a signal that is ignored, as SIGHUP is under nohup.
_REPLACED: Final[dict[str, Any]] = {
    "SIGINT": signal.default_int_handler,
    "SIGTERM": signal.SIG_DFL,
    "SIGHUP": signal.SIG_DFL,  # which Windows lacks
}
_received: list[int] = []
_pending: list[threading.Timer] = []  # at most one, which sends an interrupt again


@contextmanager
def recorded_interrupts() -> Iterator[list[int]]:
    """Raise KeyboardInterrupt at each interrupt, and yield the list of the signals received so far.

    An interrupt can get lost in two places. While a compiled module is imported, it becomes an ImportError (`cannot
    import name …`), which the importing library may catch; the list tells that there was an interrupt. In a finalizer
    Python prints a traceback and goes on; the interrupt is then sent again. So it is where it would end the process
    without a word: in a function that native code may have called while a framework is imported.
    """
    _received.clear()
    main = threading.current_thread() is threading.main_thread()
    numbers = {getattr(signal, name): handler for name, handler in _REPLACED.items() if hasattr(signal, name)}
    replaced = {number: old for number, old in numbers.items() if main and signal.getsignal(number) is old}
    if not replaced:
        yield _received
        return
    previous_hook = sys.unraisablehook

    def resend(unraisable: UnraisableHookArgs) -> None:
        if unraisable.exc_type is KeyboardInterrupt:
            _send_again(interrupt())
        else:
            previous_hook(unraisable)

    for number in replaced:
        signal.signal(number, _record_and_raise)
    sys.unraisablehook = resend
    try:
        yield _received
    finally:
        for timer in _pending:  # its interrupt has ended the command already, between two stages
            timer.cancel()
        sys.unraisablehook = previous_hook
        for number, handler in replaced.items():
            signal.signal(number, handler)


def interrupt() -> signal.Signals:
    """Return the signal of the last interrupt. Of a KeyboardInterrupt without a signal, it is that of Ctrl-C."""
    return signal.Signals(_received[-1] if _received else signal.SIGINT)


def raise_if_interrupted() -> None:
    """Raise KeyboardInterrupt if an interrupt was received and a library dropped it. Called between two stages."""
    if _received:
        raise KeyboardInterrupt


def _record_and_raise(number: int, frame: FrameType | None) -> None:
    _received.append(number)
    if len(_received) <= MAX_POSTPONED and _is_called_by_an_import(frame):
        _send_again(number)
    else:
        raise KeyboardInterrupt


def _send_again(number: int) -> None:
    timer = threading.Timer(RESEND_DELAY, os.kill, (os.getpid(), number))
    timer.daemon = True
    _pending[:] = [timer]
    timer.start()


def _is_called_by_an_import(frame: FrameType | None) -> bool:
    """Whether a frame is in a function that a module calls while it is imported.

    PyTorch's C++ calls Python while it is imported, and `std::terminate` ends the process if that raises. In the body
    of a module, and between two modules, an import can be interrupted; functions called by bodies take moments.
    """
    in_function = False
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            if in_function:
                return True
        else:
            in_function = in_function or frame.f_code.co_name != "<module>"
        frame = frame.f_back
    return False
