"""The tree of parts of emitted source, which instances share a class, and what finding this out costs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from netspec.graph import Graph, Node, Scope
from netspec.lowering import find_backend
from netspec.lowering.blocks.parts import Part, split
from netspec.lowering.blocks.variants import variant_names
from netspec.spec import load_graph
from netspec.testing.networks import dissolved_blocks, residual_blocks
from tests.calls import calls_of


def outline(part: Part) -> list[object]:
    return [member.name if isinstance(member, Node) else [member.name, *outline(member)] for member in part.members]


def test_a_graph_is_split_as_its_scopes_say() -> None:
    root = split(residual_blocks())
    stage = root.members[0]
    assert isinstance(stage, Part)
    assert stage.is_chain
    assert [member.name for member in stage.members] == ["0", "1", "2", "3"]
    assert outline(stage)[1] == [
        "1",
        ["shortcut", "stage.1.shortcut.conv", "stage.1.shortcut.norm"],
        "stage.1.conv",
        "stage.1.drop",
        "stage.1.sum",
    ]
    assert (stage.inputs, stage.outputs) == (("image",), ("stage.3.sum",))
    gate = root.members[1]
    assert isinstance(gate, Part)
    assert gate.outputs == ("gate.left", "gate.right")
    assert [part.path for part in root.walk()][-1] == ""


def test_members_that_do_not_stand_together_are_no_part() -> None:
    root = split(dissolved_blocks())
    assert [member.name for member in root.members][:5] == ["torn.a", "between", "torn.b", "stack.0", "stack.extra"]
    gone = root.members[-1]
    assert isinstance(gone, Part)
    assert not gone.is_chain, "its instances are not numbered from 0"


def test_a_stack_with_an_inner_output_is_no_chain() -> None:
    graph = residual_blocks()
    stage = split(graph.with_outputs(["stage.1.sum", *graph.outputs])).members[0]
    assert isinstance(stage, Part)
    assert not stage.is_chain
    assert stage.outputs == ("stage.1.sum", "stage.3.sum")


def test_every_node_is_in_one_part() -> None:
    for graph in (residual_blocks(), dissolved_blocks(), load_graph("specs/resnet.yaml", {"depth": 152})):
        own = [member.name for part in split(graph).walk() for member in part.members if isinstance(member, Node)]
        assert sorted(own) == sorted(node.name for node in graph.nodes)


def test_variants_are_named_after_their_difference() -> None:
    def given(**arguments: str | bool | int) -> Part:
        return Part(Scope("p", "unit", tuple(arguments.items())), "p", (), (), ())

    relu, tanh = given(act="relu", wide=True, width=1), given(act="tanh", wide=True, width=2)
    assert variant_names("unit", [[relu], [tanh]]) == ["unit_relu", "unit_tanh"]
    assert variant_names("unit", [[relu, tanh], [tanh]]) == ["unit", "unit_2"], "a word that instances differ in"
    assert variant_names("unit", [[given(wide=False)], [relu], [tanh]]) == ["unit", "unit_wide", "unit_wide_2"]
    assert variant_names("unit", [[given(act="a b")], [relu]]) == ["unit", "unit_2"], "not a word"
    assert variant_names("unit", [[relu]]) == ["unit"]


@pytest.mark.parametrize("backend", ["torch", "keras"])
def test_cost_grows_with_the_instances(backend: str, tmp_path: Path) -> None:
    def stack(count: int) -> Graph:
        path = tmp_path / f"{count}.yaml"
        path.write_text(
            "name: stack\ninput: {shape: [4, 6, 6]}\nblocks:\n  unit:\n    parameters: {width: {type: integer}}\n"
            '    layers: {conv: {op: conv2d, filters: "${width}", kernel_size: 3, padding: 1}, act: {op: relu}}\n'
            f'layers:\n  s: {{block: unit, width: "${{4 + index}}", repeat: {count}}}\n'
        )
        return load_graph(path)

    lower = find_backend(backend).lower
    graphs = [stack(count) for count in (10, 50, 500, 550)]
    lower(graphs[0])  # support modules are read once
    few, many, more = (calls_of(lower, graph) for graph in graphs[1:])
    assert more - many == pytest.approx(few, rel=0.15)


def test_scopes_change_no_bindings() -> None:
    graph = residual_blocks()
    flat = replace(graph, scopes=(Scope("nowhere", "unit"),))
    for backend in ("torch", "keras", "onnx"):
        with_scopes, without = (find_backend(backend).lower(each) for each in (graph, flat))
        assert [b.weight for b in with_scopes.bindings] == [b.weight for b in without.bindings]
