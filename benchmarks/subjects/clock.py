"""What has a target in seconds is measured against: a second, which takes none to measure."""

from __future__ import annotations

from collections.abc import Callable


def second() -> Callable[[], float]:
    """A peer of one second, so that the ratio to it is own seconds."""
    return lambda: 1.0
