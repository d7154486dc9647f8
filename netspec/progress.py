"""Reports of progress: a function that is called with a description of each stage before it begins."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str], None]


def silent(description: str) -> None:
    """Report nothing."""
    del description
