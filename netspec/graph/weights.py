"""Check that arrays are the weights of a graph."""

from __future__ import annotations

from netspec.errors import WeightsError
from netspec.graph.graph import Graph
from netspec.ops.base import Weights
from netspec.words import indented


def check_weights(graph: Graph, weights: Weights) -> None:
    """Check that the names and shapes of weights are those of the graph.

    Raises:
        WeightsError: some are missing, unexpected or of another shape; the message lists them.
    """
    expected = graph.weights
    problems = [f"missing: {name} {w.shape}" for name, w in expected.items() if name not in weights]
    problems += [f"unexpected: {name} {array.shape}" for name, array in weights.items() if name not in expected]
    problems += [
        f"{name}: expected shape {w.shape}, received {weights[name].shape}"
        for name, w in expected.items()
        if name in weights and weights[name].shape != w.shape
    ]
    if problems:
        raise WeightsError(
            f"these weights do not fit {graph.name}:\n{indented(problems)}",
            "they belong to another spec, or to this one with other parameters",
        )
