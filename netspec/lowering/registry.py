"""Backends, found by name through the entry points of installed packages."""

from __future__ import annotations

import difflib
from functools import cache
from importlib.metadata import EntryPoint, PackageNotFoundError, distribution, entry_points

from netspec.errors import BackendError
from netspec.lowering.backend import Backend

GROUP = "netspec.backends"


@cache
def _entries() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)} | _own_entries()


@cache
def _own_entries() -> dict[str, EntryPoint]:
    """The backends that come with netspec, for which not every installed distribution has to be read."""
    try:
        return {entry.name: entry for entry in distribution("netspec").entry_points.select(group=GROUP)}
    except PackageNotFoundError:  # a copy of the source that was not installed
        return {}


def backend_names() -> tuple[str, ...]:
    """The registered backends, torch first, in the order in which they are proved."""
    order = ["torch", "keras", "onnx"]
    return tuple(sorted(_entries(), key=lambda n: (order.index(n) if n in order else len(order), n)))


def find_backend(name: str) -> Backend:
    """The backend of this name; its framework is imported only when it loads a model.

    Raises:
        BackendError: no such backend, with the nearest name.
    """
    entry = _own_entries().get(name) or _entries().get(name)
    if entry is None:
        close = difflib.get_close_matches(name, _entries(), n=1)
        raise BackendError(
            f"there is no backend {name!r}; expected one of {', '.join(backend_names())}",
            f"did you mean {close[0]}?" if close else "",
        )
    backend = entry.load()
    if not isinstance(backend, Backend):
        raise BackendError(f"the entry point {name!r} of {GROUP} is a {type(backend).__name__}, expected a Backend")
    return backend
