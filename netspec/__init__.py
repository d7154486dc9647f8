"""netspec: one YAML layer spec, compiled into PyTorch, Keras and ONNX, and proved to be one function.

The public names are imported when they are first used, so that `import netspec` costs nothing.

>>> import netspec
>>> netspec.NetspecError.exit_code
2
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netspec.api import Network, load
    from netspec.errors import (
        BackendError,
        Diagnostic,
        GraphError,
        NetspecError,
        ShapeError,
        SpecError,
        UnsupportedError,
        VerificationError,
        WeightsError,
        Where,
    )
    from netspec.graph import Graph
    from netspec.training.options import TrainOptions
    from netspec.verify import Report

_HOMES = {
    "netspec.api": ("Network", "load"),
    "netspec.errors": (
        "BackendError",
        "Diagnostic",
        "GraphError",
        "NetspecError",
        "ShapeError",
        "SpecError",
        "UnsupportedError",
        "VerificationError",
        "WeightsError",
        "Where",
    ),
    "netspec.graph": ("Graph",),
    "netspec.training.options": ("TrainOptions",),
    "netspec.verify": ("Report",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "BackendError",
    "Diagnostic",
    "Graph",
    "GraphError",
    "NetspecError",
    "Network",
    "Report",
    "ShapeError",
    "SpecError",
    "TrainOptions",
    "UnsupportedError",
    "VerificationError",
    "WeightsError",
    "Where",
    "load",
]


def __getattr__(name: str) -> object:
    """Import the public name from its home."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME_OF[name]), name)
    return value


def __dir__() -> list[str]:
    """The public names, imported or not."""
    return sorted({*globals(), *__all__})
