"""The registry of backends: the entry points of installed packages, by name."""

from __future__ import annotations

import difflib
from functools import cache
from importlib.metadata import EntryPoint, PackageNotFoundError, distribution, entry_points

from netspec.errors import BackendError
from netspec.lowering.backend import Backend

GROUP = "netspec.backends"


@cache
def _entries() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)} | _netspec_entries()


@cache
def _netspec_entries() -> dict[str, EntryPoint]:
    """The entry points of netspec's own backends, found without reading the metadata of every distribution."""
    try:
        return {entry.name: entry for entry in distribution("netspec").entry_points.select(group=GROUP)}
    except PackageNotFoundError:  # running from a source tree that is not installed
        return {}


def backend_names() -> tuple[str, ...]:
    """The names of the registered backends, in the order in which they are verified: torch, keras, onnx, others."""
    order = ["torch", "keras", "onnx"]
    return tuple(sorted(_entries(), key=lambda n: (order.index(n) if n in order else len(order), n)))


def find_backend(name: str) -> Backend:
    """Return the backend of this name. Its framework is imported only when it loads a model.

    Raises:
        BackendError: there is no such backend; the hint suggests the nearest name.
    """
    entry = _netspec_entries().get(name) or _entries().get(name)
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
