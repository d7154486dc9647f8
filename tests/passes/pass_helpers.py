"""Graphs and arrays that expose a wrong pass: signed float64 without zeros and ones, positive variances."""

from collections.abc import Mapping

import numpy as np

from netspec import reference
from netspec.graph import Graph
from netspec.ops.base import Array, Weights
from netspec.passes import Level, Optimized, Pass, Rewrite, optimize
from netspec.verify.compare import difference_of_largest
from netspec.weights import stream

LIMIT = 1e-12  # of the largest element: what float64 leaves of sums in another order


def weights_of(graph: Graph) -> dict[str, Array]:
    found = {}
    for name, weight in graph.weights.items():
        array = stream(0, "weights", name).standard_normal(weight.shape)
        found[name] = np.abs(array) + 0.5 if name.endswith("variance") else array
    return found


def inputs_of(graph: Graph, batch: int = 3) -> dict[str, Array]:
    return {v.name: stream(0, "inputs", v.name).standard_normal(v.type.concrete(batch)) for v in graph.inputs}


def every_value(graph: Graph, weights: Weights, inputs: Mapping[str, Array]) -> dict[str, Array]:
    return reference.evaluate(graph.with_outputs(graph.values), weights, inputs)


def check_values(optimized: Optimized, limit: float = LIMIT) -> None:
    """Assert that every value of the optimized graph equals the value of the plain graph that it replaces."""
    plain, weights, inputs = optimized.plain, weights_of(optimized.plain), inputs_of(optimized.plain)
    expected = every_value(plain, weights, inputs)
    actual = every_value(optimized.graph, optimized.weights(weights), inputs)
    assert optimized.graph.main == plain.main
    assert optimized.graph.heads == (() if optimized.level == "inference" else plain.heads)
    assert [i.name for i in optimized.graph.inputs] == [i.name for i in plain.inputs]
    equals = {value.name: value.name for value in plain.inputs} | optimized.plain_values()
    assert all(equals[name] == name for name in optimized.graph.outputs)
    for name, equal in equals.items():
        assert difference_of_largest(actual[name], expected[equal]) <= limit, f"{name}, {equal}"


def alone(each: Pass, graph: Graph, level: Level = "inference") -> Optimized:
    """Apply a single pass to a graph."""
    return optimize(graph, level, (), [each])


def changed(each: Pass, graph: Graph) -> Rewrite:
    """Return the changes of a pass, after asserting that there are some and that all values stay the same."""
    rewrite = each.run(graph)
    assert rewrite is not None
    check_values(alone(each, graph, each.levels[0]))
    return rewrite


def names(graph: Graph) -> list[str]:
    return [node.name for node in graph.nodes]
