"""The peer of rows whose target is in seconds."""

from __future__ import annotations

from collections.abc import Callable


def second() -> Callable[[], float]:
    """Return a subject that reports one second without waiting, so that ratios to it are seconds."""
    return lambda: 1.0
