"""Properties of the front end and of the graph, on random specs."""

import re
from dataclasses import replace

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from netspec.graph import Graph, make_node
from netspec.graph.diff import diff_graphs
from netspec.graph.text import print_graph, spec_hash
from netspec.graph.towers import width
from netspec.lowering import find_backend
from netspec.ops import OPS, FilterOp, LayerScale
from netspec.ops.initializers import Constant, Normal, NormalParameters, Values
from netspec.spec import elaborate, read_spec, write_spec
from netspec.testing.drawn.failing import show
from netspec.testing.drawn.rules import RULES
from netspec.testing.drawn.strategies import DrawnSpec, specs
from netspec.weights import initialize
from tests.properties.conftest import LoadText

# Mappings whose order is the meaning: the layers are a sequence, parameters may use those above them, and inputs are
# arguments. All others are sets of keys.
ORDERED = ("layers", "parameters", "inputs")


def shuffled(draw: st.DrawFn, value: object, key: str = "") -> object:
    """Return the document with its keys in another order wherever order has no meaning."""
    if isinstance(value, list):
        return [shuffled(draw, item) for item in value]
    if not isinstance(value, dict):
        return value
    keys = list(value) if key in ORDERED else draw(st.permutations(list(value)))
    return {name: shuffled(draw, value[name], name) for name in keys}


@given(drawn=specs())
def test_a_spec_means_the_graph_that_it_was_drawn_from(drawn: DrawnSpec, load_text: LoadText) -> None:
    """Equal graphs are printed and hashed alike, and do not differ."""
    show(drawn)
    graph = load_text(drawn.text)
    assert graph == drawn.graph
    assert print_graph(graph) == print_graph(drawn.graph)
    assert spec_hash(graph) == spec_hash(drawn.graph)
    assert not diff_graphs(graph, drawn.graph)


@settings(max_examples=50)
@given(drawn=specs(multiple=4))
def test_widths_can_be_drawn_that_towers_can_divide(drawn: DrawnSpec, load_text: LoadText) -> None:
    show(drawn)
    assert load_text(drawn.text) == drawn.graph
    filters = [node for node in drawn.graph.nodes if isinstance(node.op, FilterOp)]
    assert [value.name for value in (*drawn.graph.inputs, *filters) if width(value.type) % 4] == []


@settings(max_examples=50)
@given(drawn=specs())
def test_a_written_spec_reads_back(drawn: DrawnSpec, tmp_path_factory: pytest.TempPathFactory) -> None:
    show(drawn)
    path = tmp_path_factory.mktemp("written") / "spec.yaml"
    path.write_text(drawn.text)
    spec = read_spec(path)
    path.write_text(write_spec(spec))
    assert elaborate(read_spec(path)) == elaborate(spec)


@settings(max_examples=50)
@given(drawn=specs(), data=st.data())
def test_the_order_of_keys_means_nothing(drawn: DrawnSpec, load_text: LoadText, data: st.DataObject) -> None:
    text = yaml.safe_dump(shuffled(data.draw, drawn.document), sort_keys=False)
    show(drawn, f"\n---\n{text}")
    assert load_text(text) == load_text(drawn.text)


@given(drawn=specs())
def test_the_text_of_a_graph_says_all_of_it(drawn: DrawnSpec) -> None:
    show(drawn)
    text = print_graph(drawn.graph).splitlines()
    nodes = [line for line in text if " = " in line]
    assert len(nodes) == len(drawn.graph.nodes)
    for node, line in zip(drawn.graph.nodes, nodes, strict=True):
        assert (found := re.match(r"([\w.]+): (\(.*?\)) = (\w+)\((.*?)\)", line)) is not None
        assert found.groups() == (node.name, str(node.type), node.op.kind, ", ".join(node.inputs))
    assert text[-1] == f"return {', '.join(drawn.graph.outputs)}"


@settings(max_examples=50)
@given(drawn=specs())
def test_lowering_is_a_function(drawn: DrawnSpec, load_text: LoadText) -> None:
    show(drawn)
    graphs = [load_text(drawn.text) for _ in range(2)]
    for name in ("torch", "keras", "onnx"):
        backend = find_backend(name)
        first, second = map(backend.lower, graphs)
        assert first.content == second.content
        # The graph as drawn has no expressions, after which source names its parameters.
        assert first.bindings == second.bindings == backend.lower(drawn.graph).bindings
        assert [b.weight for b in first.bindings] == list(drawn.graph.weights)


@settings(max_examples=50)
@given(drawn=specs(), data=st.data())
def test_a_layer_more_leaves_the_weights_of_the_others(drawn: DrawnSpec, data: st.DataObject) -> None:
    show(drawn)
    graph = drawn.graph
    before = initialize(graph)
    after = initialize(with_a_layer_more(graph, data.draw(st.integers(0, len(graph.nodes)))))
    assert set(after) - set(before) == {"added.weight"}
    for name, array in before.items():
        np.testing.assert_array_equal(array, after[name], strict=True)


@settings(max_examples=50)
@given(drawn=specs())
def test_another_seed_draws_other_weights(drawn: DrawnSpec) -> None:
    show(drawn)
    first, again, second = (initialize(drawn.graph, seed) for seed in (0, 0, 1))
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name], strict=True)
        if not isinstance(drawn.graph.weights[name].initializer, Constant | Values):
            assert not np.array_equal(array, second[name])


def with_a_layer_more(graph: Graph, position: int) -> Graph:
    """Return the graph with one more layer with weights at a position, which reads an input and is an output."""
    source = graph.inputs[0]
    op = LayerScale(initialize={"weight": Normal(normal=NormalParameters(std=1.0))})
    added = make_node("added", op, [source])
    nodes = (*graph.nodes[:position], added, *graph.nodes[position:])
    return replace(graph, nodes=nodes, outputs=(*graph.outputs, "added")).check()


def test_every_op_has_a_rule() -> None:
    assert set(RULES) == set(OPS)
