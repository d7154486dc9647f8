"""Blocks in emitted PyTorch: one class each, state by path, and code that is right whatever became of the nodes."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from netspec_torch import BACKEND

from netspec import reference
from netspec.graph import Graph, Node, make_node
from netspec.lowering.module import load_source
from netspec.ops import Conv2d, Tanh
from netspec.ops.attributes import both, padding_of
from netspec.spec import load_graph
from netspec.types import DType
from netspec.verify.cases import check_weights_of


def classes_of(graph: Graph) -> dict[str, str]:
    source = str(BACKEND.lower(graph).content)
    found = re.split(r"\n\n\nclass (?=\w+\(nn\.Module\))", source)[1:]
    return {text.partition("(")[0]: text for text in found}


def check_values(graph: Graph) -> None:
    """The emitted model gives what the graph does."""
    weights = check_weights_of(graph)
    inputs = {
        value.name: np.random.default_rng(0).standard_normal(value.type.concrete(2)).astype(np.float32)
        for value in graph.inputs
    }
    expected = reference.evaluate(graph, weights, inputs)
    actual = BACKEND.load(BACKEND.lower(graph.astype(DType.FLOAT64)), weights).forward(inputs)
    for name, value in expected.items():
        np.testing.assert_allclose(actual[name], value, rtol=1e-9, atol=1e-12 * np.abs(value).max())


@pytest.mark.parametrize("depth", [18, 34, 50, 101, 152])
def test_state_is_named_as_the_weights_are(depth: int) -> None:
    graph = load_graph("specs/resnet.yaml", {"depth": depth})
    artifact = BACKEND.lower(graph)
    module = load_source(str(artifact.content), graph.name)
    with torch.device("meta"):
        state = getattr(module, artifact.entry)().state_dict()
    names = [name for name in state if not name.endswith("num_batches_tracked")]
    assert set(names) == {name.replace("running_variance", "running_var") for name in graph.weights}
    assert {b.weight: tuple(state[b.path].shape) for b in artifact.bindings} == {
        name: weight.shape for name, weight in graph.weights.items()
    }


def test_a_family_has_a_class_a_block() -> None:
    classes = classes_of(load_graph("specs/resnet.yaml"))
    assert list(classes) == ["Projection", "Bottleneck", "Resnet50"]
    assert (
        "self.downsample = (\n            Projection(in_channels, width * 4, stride=stride)\n" in classes["Bottleneck"]
    )
    assert "*(Bottleneck(1024, 256) for _ in range(5))," in classes["Resnet50"]
    assert len(str(BACKEND.lower(load_graph("specs/resnet.yaml", {"depth": 152})).content).splitlines()) < 110


@pytest.fixture(scope="module")
def blocks() -> Graph:
    return load_graph("tests/golden/blocks.yaml")


def changed(graph: Graph, **nodes: Node | None) -> Graph:
    """A graph as a pass might leave it: some nodes are others, `_` in place of dots; types follow."""
    values = {value.name: value for value in graph.inputs}
    made = []
    for node in graph.nodes:
        other = nodes.get(node.name.replace(".", "_"), node)
        if other is not None:
            reads = [values[name] for name in other.inputs]
            values[node.name] = make_node(other.name, other.op, reads)
            made.append(values[node.name])
        else:
            values[node.name] = values[node.inputs[0]]
    return replace(graph, nodes=tuple(v for v in made if isinstance(v, Node))).check()


def test_each_block_is_computed(blocks: Graph) -> None:
    check_values(blocks)
    check_values(blocks.with_outputs(node.name for node in blocks.nodes))


def test_an_instance_that_was_changed_has_a_class_of_its_own(blocks: Graph) -> None:
    act = blocks.values["units.1.act"]
    assert isinstance(act, Node)
    graph = changed(blocks, units_1_act=replace(act, op=Tanh()))
    assert [name for name in classes_of(graph) if name.startswith("Unit")] == ["Unit", "Unit2"]
    assert "Unit2(4" not in classes_of(graph)["Blocks"], "what is alone takes no arguments"
    check_values(graph)


def test_an_instance_without_a_layer_shares_the_class_where_that_could_be_identity(blocks: Graph) -> None:
    for name in ("units.1.norm", "units.1.conv"):
        graph = changed(blocks, **{name.replace(".", "_"): None})
        classes = classes_of(graph)
        assert [each for each in classes if each.startswith("Unit")] == ["Unit"]
        own = name.rpartition(".")[2]
        assert f"has_{own}: bool = False" in classes["Unit"]
        check_values(graph)
    graph = changed(blocks, units_1_act=None)
    assert [each for each in classes_of(graph) if each.startswith("Unit")] == ["Unit", "Unit2"], "F.relu is no module"
    check_values(graph)


def test_numbers_of_layers_become_arguments_and_forms_do_not(blocks: Graph) -> None:
    conv = blocks.values["units.1.conv"]
    assert isinstance(conv, Node)
    wide = Conv2d(filters=4, kernel_size=both(3), padding=padding_of((1, 2, 3, 2)))
    graph = changed(blocks, units_1_conv=replace(conv, op=wide))
    assert len([name for name in classes_of(graph) if name.startswith("Unit")]) == 2, "one pads by a step of its own"
    check_values(graph)


def test_scopes_that_are_lost_or_torn_leave_flat_code(blocks: Graph) -> None:
    flat = replace(blocks, scopes=())
    assert list(classes_of(flat)) == ["Blocks"]
    assert "self.units_4_squeeze_fc = " in classes_of(flat)["Blocks"]
    check_values(flat)
    moved = next(node for node in blocks.nodes if node.name == "split.left")
    last = [node for node in blocks.nodes if node is not moved]
    position = next(index for index, node in enumerate(last) if node.name == "again.left")
    torn = replace(blocks, nodes=(*last[: position + 2], moved, *last[position + 2 :])).check()
    assert "class Split(" in str(BACKEND.lower(torn).content), "of the other instance"
    assert "self.split_right = " in classes_of(torn)["Blocks"]
    check_values(torn)


def test_names_in_blocks_meet_nothing(tmp_path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(
        """name: self
input: {shape: [3, 4, 4]}
blocks:
  self:
    inputs: [nn, torch]
    parameters: {in_channels: 4, print: 3, super: 1}
    layers:
      forward: {op: conv2d, inputs: nn, filters: "${print}", kernel_size: "${super}", padding: "${super // 2}"}
      F: {op: conv2d, filters: "${in_channels}", kernel_size: 1}
      x: {op: relu}
      split_0: {op: conv2d, inputs: torch, filters: 2, kernel_size: 1}
      split: {block: tensor}
      split_1: {op: concat, inputs: [x, split_0, split.x, split.y]}
  tensor:
    layers:
      x: {op: relu}
      y: {op: tanh}
    outputs: [x, y]
layers:
  a: {block: self, inputs: [input, input]}
  a_forward: {block: self, inputs: [a, input], print: 5, in_channels: 6, super: 3}
  b: {block: self, inputs: [a_forward, a], in_channels: 7}
"""
    )
    check_values(load_graph(path))
