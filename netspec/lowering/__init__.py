"""From a graph to artifacts: what a backend is, how source is written, and how it is loaded."""

from netspec.lowering.artifact import Artifact, Binding
from netspec.lowering.backend import Backend, Gradients, Lowerings, Model, SavedModel
from netspec.lowering.registry import backend_names, find_backend

__all__ = [
    "Artifact",
    "Backend",
    "Binding",
    "Gradients",
    "Lowerings",
    "Model",
    "SavedModel",
    "backend_names",
    "find_backend",
]
