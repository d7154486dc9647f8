"""Passes that rewrite a graph into a faster one of the same function: one pass a file, each with its precondition."""

from netspec.passes.optimize import PASSES, Cost, Optimized, Step, optimize, without_heads
from netspec.passes.rewrite import Fold, Level, Pass, Rewrite

__all__ = [
    "PASSES",
    "Cost",
    "Fold",
    "Level",
    "Optimized",
    "Pass",
    "Rewrite",
    "Step",
    "optimize",
    "without_heads",
]
