"""Blocks in emitted PyTorch: one class each, state named by path, and correct code for graphs that passes changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from netspec_torch import BACKEND

from netspec.graph import Graph, Node
from netspec.lowering.python.module import load_source
from netspec.ops import Conv2d, GroupNorm, Tanh
from netspec.ops.attributes import both, padding_of
from netspec.spec import load_graph
from tests.backends.torch.emitted import changed, check_values, classes_of


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


def test_a_family_has_one_class_per_block() -> None:
    classes = classes_of(load_graph("specs/resnet.yaml"))
    assert list(classes) == ["Projection", "Bottleneck", "Resnet50"]
    assert "self.downsample = (\n            Projection(in_channels, out, stride=stride)\n" in classes["Bottleneck"]
    assert "Bottleneck(512, 256, stride=2), *(Bottleneck(1024, 256) for _ in range(5))" in classes["Resnet50"]
    assert len(str(BACKEND.lower(load_graph("specs/resnet.yaml", {"depth": 152})).content).splitlines()) < 110


@pytest.fixture(scope="module")
def blocks() -> Graph:
    return load_graph("tests/golden/blocks.yaml")


def test_each_block_is_computed(blocks: Graph) -> None:
    check_values(blocks)
    check_values(blocks.with_outputs(node.name for node in blocks.nodes))


def test_an_instance_that_was_changed_has_a_class_of_its_own(blocks: Graph) -> None:
    act = blocks.values["units.1.act"]
    assert isinstance(act, Node)
    graph = changed(blocks, units_1_act=replace(act, op=Tanh()))
    assert [name for name in classes_of(graph) if name.startswith("Unit")] == ["Unit", "Unit2"]
    assert "Unit2(4" not in classes_of(graph)["Blocks"], "a class with one instance takes no arguments"
    check_values(graph)


def test_an_instance_without_a_layer_shares_the_class_where_that_could_be_identity(blocks: Graph) -> None:
    for name in ("units.1.norm", "units.1.conv"):
        graph = changed(blocks, **{name.replace(".", "_"): None})
        classes = classes_of(graph)
        assert [each for each in classes if each.startswith("Unit")] == ["Unit"]
        layer = name.rpartition(".")[2]
        assert f"has_{layer}: bool = True" in classes["Unit"], "the default is that of most instances"
        check_values(graph)
    graph = changed(blocks, units_1_act=None)
    assert [each for each in classes_of(graph) if each.startswith("Unit")] == ["Unit"]
    assert "        if self.has_act:\n            x = F.relu(x)\n" in classes_of(graph)["Unit"]
    check_values(graph)


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
def test_instances_that_differ_in_form_share_a_class() -> None:
    graph = load_graph("tests/golden/variants.yaml")
    classes = classes_of(graph)
    assert list(classes) == ["PaddedAvgPool2d", "ConvBn", "Branches", "Deep", "Reduce", "Gated", "Variants"]
    assert "return residual, skip" in classes["Gated"], "in the order of the block's outputs"
    assert "_, gated3_skip = self.gated3(gated2_residual)\n" in classes["Variants"]
    assert (
        "        if self.has_skip:\n            x = self.skip(input)\n            main = main + x\n"
        in classes["Branches"]
    )
    assert "*(Branches(2 * filters, 2 * filters, padding=1) for _ in range(count))" in classes["Deep"]
    assert 'self.deep3 = Deep(2, 3, act="silu")\n' in classes["Variants"]
    check_values(graph)
    artifact = BACKEND.lower(graph)
    model = getattr(load_source(str(artifact.content), "variants"), artifact.entry)().eval()
    x = torch.randn(2, 4, 9, 8, generator=torch.Generator().manual_seed(0))
    for ours, theirs in zip(torch.jit.script(model)(x), model(x), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_conditional_merges_share_a_class_with_values_that_are_read_later(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(
        """name: merged
input: {shape: [4, 5, 5]}
blocks:
  unit:
    parameters: {more: true, gate: true}
    layers:
      a: {op: relu}
      b: {op: sigmoid, inputs: input, when: "${more}"}
      ab: {op: multiply, inputs: [a, b], when: "${more}"}
      c: {op: tanh, inputs: "${'ab' if more else 'a'}"}
      d: {op: add, inputs: [c, a]}
      gated: {op: multiply, inputs: [d, c], when: "${gate}"}
      end: {op: relu, inputs: "${'gated' if gate else 'd'}"}
layers:
  all: {block: unit}
  less: {block: unit, more: false}
  least: {block: unit, more: false, gate: false}
"""
    )
    graph = load_graph(path)
    assert list(classes_of(graph)) == ["Unit", "Merged"]
    check_values(graph)


def test_numbers_of_layers_become_arguments_and_forms_do_not(blocks: Graph) -> None:
    conv = blocks.values["units.1.conv"]
    assert isinstance(conv, Node)
    wide = Conv2d(filters=4, kernel_size=both(3), padding=padding_of((1, 2, 3, 2)))
    graph = changed(blocks, units_1_conv=replace(conv, op=wide))
    classes = classes_of(graph)
    assert len([name for name in classes if name.startswith("Unit")]) == 1
    assert "self.conv = PaddedConv2d(" in classes["Unit"], "one instance has asymmetric padding"
    check_values(graph)
    graph = changed(blocks, units_1_act=replace(blocks.values["units.1.act"], op=GroupNorm(groups=2)))
    assert len([name for name in classes_of(graph) if name.startswith("Unit")]) == 2, "a norm is no activation"
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
    assert "class Split(" in str(BACKEND.lower(torn).content), "the other instance keeps it"
    assert "self.split_right = " in classes_of(torn)["Blocks"]
    check_values(torn)


def test_names_in_blocks_do_not_clash(tmp_path: Path) -> None:
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
