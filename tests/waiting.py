"""Waiting for other processes: by what they have done, with a limit that is reached only by a hang."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

HANG = 300.0  # seconds: far more than any wait takes, however busy the machine


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Return once a condition holds; fail the test if it never does.

    Args:
        condition: is called again and again. To stop early, it may raise.
        what: what is waited for, for the message of the failure.
    """
    until = time.monotonic() + HANG
    while not condition():
        if time.monotonic() > until:
            pytest.fail(f"{what}: waited {HANG:g} s in vain")
        time.sleep(0.01)


def is_running(process: int) -> bool:
    """Whether a process is there and is not a zombie, which waits only for its exit status to be read."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
