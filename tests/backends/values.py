"""The comparison of emitted models with the reference."""

from __future__ import annotations

import numpy as np

from netspec import reference
from netspec.graph import Graph
from netspec.lowering import Backend
from netspec.types import DType
from netspec.verify.cases import check_weights_of


def check_values(graph: Graph, backend: Backend) -> None:
    """Assert that the model that a backend emits for a graph agrees with the reference, in float64."""
    weights = check_weights_of(graph)
    inputs = {
        value.name: np.random.default_rng(0).standard_normal(value.type.concrete(2)).astype(np.float32)
        for value in graph.inputs
    }
    expected = reference.evaluate(graph, weights, inputs)
    actual = backend.load(backend.lower(graph.astype(DType.FLOAT64)), weights).forward(inputs)
    for name, value in expected.items():
        np.testing.assert_allclose(actual[name], value, rtol=1e-9, atol=1e-12 * np.abs(value).max())
