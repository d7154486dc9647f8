"""Compares gradients of the optimized and the plain emitted model in float64."""

import numpy as np

from netspec.graph import Graph
from netspec.lowering import at_level, find_backend
from netspec.types import DType
from netspec.weights import stream
from tests.passes.pass_helpers import LIMIT, inputs_of, weights_of


def check_gradients(graph: Graph) -> None:
    graph = graph.astype(DType.FLOAT64)
    torch, weights, inputs = find_backend("torch"), weights_of(graph), inputs_of(graph)
    cotangents = {n: stream(0, "cotangent", n).standard_normal(graph.type_of(n).concrete(3)) for n in graph.outputs}
    plain, optimized = (
        backend.load(backend.lower(graph), weights).gradients(inputs, cotangents)
        for backend in (torch, at_level(torch, "training"))
    )
    expected, actual = plain.weights | plain.inputs, optimized.weights | optimized.inputs
    assert expected.keys() == actual.keys()
    largest = max(float(np.abs(array).max()) for array in (*expected.values(), *cotangents.values()))
    for name, array in expected.items():
        np.testing.assert_allclose(actual[name], array, rtol=0, atol=LIMIT * largest, err_msg=name)
