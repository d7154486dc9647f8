"""The cost of a function as a count of calls, which no other program on the machine can change."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any


def calls_of(function: Callable[[Any], object], argument: object) -> int:
    """Return how many Python functions are called when a function is called with an argument."""
    count = 0

    def tick(frame: object, event: str, value: object) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(tick)
    try:
        function(argument)
    finally:
        sys.setprofile(None)
    return count
