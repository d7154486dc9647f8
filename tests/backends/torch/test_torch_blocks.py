"""Blocks in emitted PyTorch: one class each, state by path, and code that is right whatever became of the nodes."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from netspec_torch import BACKEND

from netspec import reference
from netspec.graph import Graph, Node, make_node
from netspec.lowering.python.module import load_source
from netspec.ops import Conv2d, GroupNorm, Slice, Tanh
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
    assert "self.downsample = (\n            Projection(in_channels, out, stride=stride)\n" in classes["Bottleneck"]
    assert "Bottleneck(512, 256, stride=2), *(Bottleneck(1024, 256) for _ in range(5))" in classes["Resnet50"]
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
        assert f"has_{own}: bool = True" in classes["Unit"], "as most have it"
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
    assert "*(Branches(2 * filters, 2 * filters, padding=1) for _ in range(count))" in classes["Deep"], "one is another"
    assert 'self.deep3 = Deep(2, 3, act="silu")\n' in classes["Variants"]
    check_values(graph)
    artifact = BACKEND.lower(graph)
    model = getattr(load_source(str(artifact.content), "variants"), artifact.entry)().eval()
    x = torch.randn(2, 4, 9, 8, generator=torch.Generator().manual_seed(0))
    for ours, theirs in zip(torch.jit.script(model)(x), model(x), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_what_is_merged_is_not_joined_to_what_is_read_later(tmp_path: Path) -> None:
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
    assert "self.conv = PaddedConv2d(" in classes["Unit"], "one has sides that differ"
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


NUMBERS_IN_FORWARD = """name: windows
input: {shape: [4, 8, 8]}
blocks:
  window:
    parameters: {size: 2, shift: 0, half: 1, heads: 2, count: "${height // size}"}
    layers:
      heads: {op: conv2d, filters: "${channels}", kernel_size: 1, groups: "${heads}"}
      rolled: {op: roll, axes: [2, 3], shifts: ["${-shift}", "${-shift}"], when: "${shift > 0}"}
      windows: {op: reshape, shape: ["${channels}", "${count}", "${size}", "${count}", "${size}"]}
      joined: {op: reshape, shape: ["${channels}", "${height}", "${width}"]}
      padded: {op: roll, axes: [2], shifts: ["${half}"]}
      wider: {op: pad2d, padding: {top: "${half}", left: "${half}", bottom: 0, right: 0}}
      scaled: {op: conv2d, filters: "${channels}", kernel_size: 1, stride: "${1 + half}"}
      halves: {op: slice, part: 0, of: 2}
      others: {op: slice, inputs: scaled, part: 1, of: 2}
      gate: {op: sigmoid, inputs: others}
      out: {op: multiply, inputs: [halves, gate]}
layers:
  a: {block: window}
  b: {block: window, inputs: input, size: 4, shift: 1}
  c: {block: window, inputs: input, size: 4, shift: 2, half: 2, heads: 1}
outputs: [a, b, c]
"""


@pytest.fixture(scope="module")
def windows(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    path = tmp_path_factory.mktemp("windows") / "spec.yaml"
    path.write_text(NUMBERS_IN_FORWARD)
    return load_graph(path)


def test_numbers_in_forward_are_attributes(windows: Graph) -> None:
    assert list(classes_of(windows)) == ["Window", "Windows"]
    window = classes_of(windows)["Window"]
    assert "self.shift = shift\n" in window
    assert "self.half_ = half\n" in window, "modules have a method of this name"
    assert "x = x.roll((self.half_,), (2,))\n" in window
    assert "x = F.pad(x, (self.half_, 0, self.half_, 0))\n" in window, "as the spec says each side"
    assert "self.heads = nn.Conv2d(4, 4, kernel_size=1, groups=heads)" in window
    assert "        if self.shift > 0:\n            x = x.roll((-self.shift, -self.shift), (2, 3))\n" in window
    assert "x = x.reshape(-1, 4, self.count, self.size, self.count, self.size)\n" in window
    assert "halves, x = scaled.chunk(2, dim=1)\n" in window
    check_values(windows)
    check_values(windows.with_outputs(node.name for node in windows.nodes))


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
def test_numbers_in_forward_pass_through_what_torch_makes_of_a_module(windows: Graph) -> None:
    model = BACKEND.load(BACKEND.lower(windows), check_weights_of(windows)).native
    x = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = model(x)
        exported = torch.export.export(model, (x,), dynamic_shapes=[{0: torch.export.Dim("batch", min=1)}]).module()
        compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
        for made in (torch.jit.script(model), exported, compiled):
            for ours, theirs in zip(made(x), expected, strict=True):
                torch.testing.assert_close(ours, theirs)


def test_parts_that_are_not_all_there_are_taken_one_by_one(windows: Graph) -> None:
    at = [node.name for node in windows.nodes].index("b.others")
    nodes = [*windows.nodes]
    nodes[at - 1], nodes[at] = nodes[at], nodes[at - 1]
    swapped = replace(windows, nodes=tuple(nodes)).check()
    assert "halves, others = scaled.chunk(2, dim=1)" in str(BACKEND.lower(swapped).content), "in the order of the parts"
    check_values(swapped)
    nodes[at - 1], nodes[at], nodes[at + 1] = nodes[at - 1], nodes[at + 1], nodes[at]
    apart = replace(windows, nodes=tuple(nodes)).check()
    assert "= scaled.chunk(2, dim=1)[1]" in str(BACKEND.lower(apart).content)
    check_values(apart)
    twice = replace(windows.values["b.others"], op=Slice(part=0, of=2))
    same = changed(windows, b_others=twice)
    assert "= scaled.chunk(2, dim=1)[0]" in str(BACKEND.lower(same).content)
    check_values(same)
    whole = changed(windows, a_gate=replace(windows.values["a.gate"], op=Slice(part=0, of=1)))
    assert "x = x.chunk(1, dim=1)[0]" in str(BACKEND.lower(whole).content), "the only part of it"
    check_values(whole)


EQUAL_BY_CHANCE = """name: chance
input: {shape: [2, 8, 8]}
blocks:
  unit:
    parameters: {count: 1, stride: 1, width: {type: integer}, hidden: "${4 * channels}", kernel: 1}
    layers:
      conv: {op: conv2d, filters: "${width}", kernel_size: "${kernel}", stride: "${stride}", padding: "${kernel // 2}"}
      drop: {op: dropout, rate: 0.5, when: "${count > 1}"}
      wide: {op: conv2d, filters: "${hidden}", kernel_size: 1, groups: "${count}"}
      out: {op: conv2d, filters: "${width}", kernel_size: "${count}", padding: "${count // 2}"}
layers:
  a: {block: unit, width: 1}
  b: {block: unit, inputs: input, width: 2, count: 2, stride: 2, kernel: 3}
outputs: [a, b]
"""


def test_numbers_that_are_equal_by_chance_have_names_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(EQUAL_BY_CHANCE)
    graph = load_graph(path)
    unit = classes_of(graph)["Unit"]
    assert "self, width: int, count: int = 1, stride: int = 1, kernel: int = 1\n" in unit
    assert "2, width, kernel_size=kernel, stride=stride, padding=kernel // 2\n" in unit
    assert "nn.Dropout(p=0.5) if count > 1 else nn.Identity()" in unit
    assert "nn.Conv2d(width, 8, kernel_size=1, groups=count)" in unit
    assert "nn.Conv2d(8, width, kernel_size=count, padding=count // 2)" in unit, "as the spec says"
    check_values(graph)


SPLIT = """
name: split
input: {shape: [8, 8, 6]}
blocks:
  mixer:  # a fourth of the channels along each axis, the others as they are
    parameters: {branch: "${channels // 4}"}
    layers:
      same: {op: slice, stop: "${channels - 2 * branch}"}
      high: {op: slice, inputs: input, start: "${channels - 2 * branch}", stop: "${channels - branch}"}
      column: {op: conv2d, filters: "${branch}", kernel_size: {height: 3, width: 1}, padding: {top: 1, bottom: 1}}
      wide: {op: slice, inputs: input, start: "${-branch}"}
      row: {op: conv2d, filters: "${branch}", kernel_size: {height: 1, width: 3}, padding: {left: 1, right: 1}}
      joined: {op: concat, inputs: [same, column, row]}
layers:
  mixer1: {block: mixer}
  wider: {op: conv2d, filters: 12, kernel_size: 1}
  mixer2: {block: mixer}
"""


def test_bounds_that_differ_are_a_parameters(tmp_path: Path) -> None:
    (tmp_path / "split.yaml").write_text(SPLIT, encoding="utf-8")
    graph = load_graph(tmp_path / "split.yaml")
    classes = classes_of(graph)
    assert list(classes) == ["Mixer", "Split"]
    assert "        same = input[:, : self.in_channels - (2 * self.branch)]\n" in classes["Mixer"]
    assert "self.mixer2 = Mixer(12)\n" in classes["Split"]
    check_values(graph)
