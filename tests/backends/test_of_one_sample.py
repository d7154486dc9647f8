"""Every op that may compute a value of one sample from learned ones, in all its forms, beside a batch."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from netspec import reference
from netspec.graph import Graph, Input, make_node
from netspec.lowering import find_backend
from netspec.lowering.broadcast import OF_ONE, broadcastable_nodes
from netspec.ops import OPS, Add, Parameter
from netspec.ops.base import Sample
from netspec.ops.dropout import Dropping
from netspec.types import TensorType
from netspec.verify.cases import check_weights_of
from tests.backends.values import check_values

KINDS = [kind for kind, op in OPS.items() if issubclass(op, OF_ONE) and not issubclass(op, Dropping)]


def graph_of(sample: Sample) -> Graph:
    """A graph that adds an input to what the op of a sample computes from learned values."""
    learned = [
        make_node(f"learned{i}", Parameter.model_validate({"shape": shape}), ())
        for i, shape in enumerate(sample.inputs)
    ]
    computed = make_node("computed", sample.op, learned)
    x = Input("x", TensorType.of(*computed.type.features))
    return Graph("learned", (x,), (*learned, computed, make_node("sum", Add(), (x, computed))), ("sum",)).check()


def graphs_of(kind: str) -> list[Graph]:
    """A graph for each sample of an op; not of inputs with one number a sample, which no learned value has."""
    graphs = [graph_of(sample) for sample in OPS[kind].samples() if all(sample.inputs)]
    for graph in graphs:
        assert broadcastable_nodes(graph) == {node.name for node in graph.nodes} - {"sum"}
    return graphs


@pytest.mark.parametrize("kind", KINDS)
def test_a_function_of_learned_values_is_one_sample_in_torch(kind: str) -> None:
    for graph in graphs_of(kind):
        check_values(graph, find_backend("torch"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_function_of_learned_values_is_one_sample_in_onnx(kind: str) -> None:
    """Its shapes are those of one sample too; ONNX Runtime computes in float32."""
    backend = find_backend("onnx")
    for graph in graphs_of(kind):
        artifact, weights = backend.lower(graph), check_weights_of(graph)
        onnx.shape_inference.infer_shapes(onnx.load_from_string(artifact.content), strict_mode=True, data_prop=True)
        inputs = {"x": np.random.default_rng(0).standard_normal(graph.inputs[0].type.concrete(3)).astype(np.float32)}
        expected = reference.evaluate(graph, weights, inputs)["sum"]
        actual = backend.load(artifact, weights).forward(inputs)["sum"]
        np.testing.assert_allclose(actual, expected, rtol=0, atol=2e-6 * np.abs(expected).max())
