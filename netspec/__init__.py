"""netspec: one YAML layer spec, compiled into PyTorch, Keras and ONNX, and proved to be one function.

Public names are imported on first use, so that `import netspec` is fast.

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

_NAMES_OF = {
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
_MODULE_OF = {name: module for module, names in _NAMES_OF.items() for name in names}

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
    """Import a public name from its module on first use."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_MODULE_OF[name]), name)
    return value


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return sorted({*globals(), *__all__})
