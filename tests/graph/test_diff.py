"""Differences between graphs, and graphs as Mermaid."""

from netspec.graph import Graph, Input, Preprocessing, make_node
from netspec.graph.diff import FieldChange, diff_graphs
from netspec.graph.mermaid import print_mermaid
from netspec.ops import Add, Dense, Op, Relu, Tanh
from netspec.types import TensorType


def chain(*layers: tuple[str, Op], preprocessing: Preprocessing | None = None) -> Graph:
    values = [Input("x", TensorType.of(4), preprocessing)]
    nodes = []
    for name, op in layers:
        nodes.append(make_node(name, op, [nodes[-1] if nodes else values[0]]))
    return Graph("chain", tuple(values), tuple(nodes), (nodes[-1].name,)).check()


BASE = chain(("fc1", Dense(units=3)), ("act", Relu()), ("fc2", Dense(units=2)))


def test_equal_graphs_do_not_differ() -> None:
    assert not diff_graphs(BASE, BASE)


def test_an_attribute_and_the_shapes_that_follow() -> None:
    diff = diff_graphs(BASE, chain(("fc1", Dense(units=5)), ("act", Relu()), ("fc2", Dense(units=2))))
    assert (diff.added, diff.removed, diff.interface) == ((), (), ())
    assert [change.name for change in diff.changed] == ["fc1", "act"]
    assert diff.changed[0].fields == (FieldChange("shape", "(N, 3)", "(N, 5)"), FieldChange("units", "3", "5"))
    assert [str(field) for field in diff.changed[1].fields] == ["shape: (N, 3) → (N, 5)"]


def test_a_layer_removed_changes_what_its_reader_reads() -> None:
    diff = diff_graphs(BASE, chain(("fc1", Dense(units=3)), ("fc2", Dense(units=2))))
    assert [node.name for node in diff.removed] == ["act"]
    assert [(c.name, c.fields) for c in diff.changed] == [("fc2", (FieldChange("inputs", "act", "fc1"),))]
    assert [node.name for node in diff_graphs(chain(("fc1", Dense(units=3))), BASE).added] == ["act", "fc2"]


def test_another_op_of_the_same_name_is_one_change() -> None:
    diff = diff_graphs(BASE, chain(("fc1", Dense(units=3)), ("act", Tanh()), ("fc2", Dense(units=2))))
    assert [change.fields for change in diff.changed] == [(FieldChange("op", "relu", "tanh"),)]


def test_inputs_and_outputs_are_compared_too() -> None:
    other = chain(*((n.name, n.op) for n in BASE.nodes), preprocessing=Preprocessing(scale=0.5))
    (change,) = diff_graphs(BASE, other).interface
    assert change.field == "x"
    assert "preprocessing" in change.after
    (change,) = diff_graphs(BASE, BASE.with_outputs(["act", "fc2"])).interface
    assert change == FieldChange("outputs", "fc2", "act, fc2")


def summed(*inputs: tuple[str, int]) -> Graph:
    values = [Input(name, TensorType.of(size)) for name, size in inputs]
    total = make_node("sum", Add(), sorted(values, key=lambda value: value.name))
    return Graph("summed", tuple(values), (total,), ("sum",)).check()


def test_the_order_of_inputs_is_compared() -> None:
    (change,) = diff_graphs(summed(("a", 4), ("b", 4)), summed(("b", 4), ("a", 4))).interface
    assert change == FieldChange("inputs", "a, b", "b, a")


def test_an_input_of_a_fields_name_is_compared() -> None:
    (change,) = diff_graphs(summed(("a", 4), ("outputs", 4)), summed(("a", 4), ("outputs", 1))).interface
    assert change == FieldChange("outputs", "(N, 4)", "(N, 1)")


def test_names_in_a_flowchart_are_labels_and_escaped() -> None:
    graph = chain(('end"]; click v0 <b>#&', Dense(units=4, groups=2)))
    assert print_mermaid(graph).splitlines()[2] == (
        '    v1["end#quot;]; click v0 #lt;b#gt;#35;#amp;<br/>dense, 2 groups<br/>4"]'
    )


def test_each_output_is_named_where_there_are_several() -> None:
    text = print_mermaid(BASE.with_outputs(["act", "fc2"]))
    assert 'o0(["output<br/>act"])' in text
    assert "v3 --> o1" in text
