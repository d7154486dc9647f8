"""The proof that a spec is the same function in every backend."""

from netspec.verify.compare import Comparison, Level
from netspec.verify.report import NodeError, Report, TrainingDivergence, Unfinished
from netspec.verify.verify import verify

__all__ = ["Comparison", "Level", "NodeError", "Report", "TrainingDivergence", "Unfinished", "verify"]
