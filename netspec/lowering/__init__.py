"""Lowering graphs to artifacts: the backend interface and its registry, artifacts, and the trainer protocol."""

from netspec.lowering.artifact import Artifact, Binding
from netspec.lowering.backend import Backend, Gradients, Model, SavedModel
from netspec.lowering.batch import Batch
from netspec.lowering.foreign import ForeignWeights
from netspec.lowering.lowerings import Lowerings
from netspec.lowering.optimized import OptimizedBackend, at_level
from netspec.lowering.registry import backend_names, find_backend
from netspec.lowering.trainer import InputGradients, StepResult, TowerSettings, Trainer, TrainerSettings, TrainingState
from netspec.passes import without_heads

__all__ = [
    "Artifact",
    "Backend",
    "Batch",
    "Binding",
    "ForeignWeights",
    "Gradients",
    "InputGradients",
    "Lowerings",
    "Model",
    "OptimizedBackend",
    "SavedModel",
    "StepResult",
    "TowerSettings",
    "Trainer",
    "TrainerSettings",
    "TrainingState",
    "at_level",
    "backend_names",
    "find_backend",
    "without_heads",
]
