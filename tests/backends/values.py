"""Specs of blocks, and the comparison of what is emitted for them with the reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from netspec import reference
from netspec.graph import Graph
from netspec.lowering import Backend, find_backend
from netspec.spec import load_graph
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


def graph_of_blocks(blocks: str, layers: str, folder: Path, *, shape: str = "[4, 8, 8]") -> Graph:
    """Load a spec from the texts of its blocks and its layers, with an input of this shape."""
    path = folder / "spec.yaml"
    path.write_text(f"name: net\ninput: {{shape: {shape}}}\nblocks:{blocks}layers:\n  {layers}\n")
    return load_graph(path)


def source_of(graph: Graph, backend: str) -> str:
    """Return the source that a backend emits for a graph."""
    return str(find_backend(backend).lower(graph).content)


def check_one_class(graph: Graph, backend: Backend) -> str:
    """Assert that each block is one class, or function, with the values of the reference; return the source."""
    source = str(backend.lower(graph).content)
    for block in {scope.block for scope in graph.scopes if scope.block}:
        assert source.count(f"The block `{block}`: ") == 1
    check_values(graph, backend)
    return source
