"""Backends, found by name through the entry points of installed packages."""

from __future__ import annotations

import difflib
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from netspec.errors import BackendError
from netspec.lowering.backend import Backend

GROUP = "netspec.backends"


@cache
def _entries() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def backend_names() -> tuple[str, ...]:
    """The registered backends, torch first, in the order in which they are proved."""
    order = ["torch", "keras", "onnx"]
    return tuple(sorted(_entries(), key=lambda n: (order.index(n) if n in order else len(order), n)))


def find_backend(name: str) -> Backend:
    """The backend of this name; its framework is imported only when it loads a model.

    Raises:
        BackendError: no such backend, with the nearest name.
    """
    if name not in _entries():
        close = difflib.get_close_matches(name, _entries(), n=1)
        raise BackendError(
            f"there is no backend {name!r}; expected one of {', '.join(backend_names())}",
            f"did you mean {close[0]}?" if close else "",
        )
    backend = _entries()[name].load()
    if not isinstance(backend, Backend):
        raise BackendError(f"the entry point {name!r} of {GROUP} is a {type(backend).__name__}, expected a Backend")
    return backend
