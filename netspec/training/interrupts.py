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
    """A context in which an interrupt is deferred to the end, for short work that must not be left half done.

    An example is the start of a thread pool: if an interrupt separates a starting thread from its pool, the process
    waits for that thread forever at exit.
    """
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or handler is None:
        yield
        return
    received: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: received.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if received:
            signal.raise_signal(signal.SIGINT)


def end_with_parent() -> None:
    """In a child process, ignore Ctrl-C and exit when the parent does. Shutting down in order is the parent's task."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_after_parent, daemon=True).start()


def _exit_after_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
