"""Numbers that a launcher of processes, such as torchrun, sets in their environment."""

from __future__ import annotations

import os

from netspec.errors import BackendError


def environment(name: str, default: int, least: int = 0) -> int:
    """A whole number from the environment; `default` if the variable is not set, or empty.

    Raises:
        BackendError: the variable is not a whole number of at least `least`.
    """
    text = os.environ.get(name) or str(default)
    if not text.isdecimal() or int(text) < least:
        above = f" of {least} or more" if least else ""
        raise BackendError(f"the environment's {name}: expected a whole number{above}, received {text!r}")
    return int(text)
