"""Interrupts (Ctrl-C): deferring them for a moment, and ignoring them in child processes."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import parent_process


@contextmanager
def uninterrupted() -> Iterator[None]:
    """A context in which a signal that stops the command is deferred to the end, for work not to be left half done.

    An example is the start of a thread pool: if an interrupt separates a starting thread from its pool, the process
    waits for that thread forever at exit.
    """
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    handlers = {number: handler for number in numbers if callable(handler := signal.getsignal(number))}
    if threading.current_thread() is not threading.main_thread():
        handlers = {}
    received: list[int] = []
    for number in handlers:
        signal.signal(number, lambda number, _: received.append(number))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if received:
            signal.raise_signal(received[0])


def end_with_parent() -> None:
    """In a child process, ignore Ctrl-C and exit when the parent does. Shutting down in order is the parent's task."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_after_parent, daemon=True).start()


def _exit_after_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
