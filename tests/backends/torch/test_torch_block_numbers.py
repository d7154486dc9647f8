"""Numbers of emitted blocks: parameters that `forward` reads become attributes, and equal numbers stay distinct."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from netspec_torch import BACKEND

from netspec.graph import Graph
from netspec.ops import Slice
from netspec.spec import load_graph
from netspec.verify.cases import check_weights_of
from tests.backends.torch.emitted import changed, check_values, classes_of
from tests.backends.values import check_one_class, graph_of_blocks

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
    assert "self.half_ = half\n" in window, "nn.Module has a method `half`"
    assert "x = x.roll((self.half_,), (2,))\n" in window
    assert "x = F.pad(x, (self.half_, 0, self.half_, 0))\n" in window, "each side as in the spec"
    assert "self.heads = nn.Conv2d(4, 4, kernel_size=1, groups=heads)" in window
    assert "        if self.shift > 0:\n            x = x.roll((-self.shift, -self.shift), (2, 3))\n" in window
    assert "x = x.reshape(-1, 4, self.count, self.size, self.count, self.size)\n" in window
    assert "halves, others = x.chunk(2, dim=1)\n" in window
    check_values(windows)
    check_values(windows.with_outputs(node.name for node in windows.nodes))


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
def test_numbers_in_forward_can_be_exported_compiled_and_scripted(windows: Graph) -> None:
    model = BACKEND.load(BACKEND.lower(windows), check_weights_of(windows)).native
    x = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = model(x)
        exported = torch.export.export(model, (x,), dynamic_shapes=[{0: torch.export.Dim("batch", min=1)}]).module()
        compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
        for converted in (torch.jit.script(model), exported, compiled):
            for ours, theirs in zip(converted(x), expected, strict=True):
                torch.testing.assert_close(ours, theirs)


def test_chunks_are_unpacked_together_only_if_all_are_read(windows: Graph) -> None:
    at = [node.name for node in windows.nodes].index("b.others")
    nodes = [*windows.nodes]
    nodes[at - 1], nodes[at] = nodes[at], nodes[at - 1]
    swapped = replace(windows, nodes=tuple(nodes)).check()
    assert "halves, others = x.chunk(2, dim=1)" in str(BACKEND.lower(swapped).content), "in the order of the parts"
    check_values(swapped)
    nodes[at - 1], nodes[at], nodes[at + 1] = nodes[at - 1], nodes[at + 1], nodes[at]
    apart = replace(windows, nodes=tuple(nodes)).check()
    assert "halves, others = x.chunk(2, dim=1)" in str(BACKEND.lower(apart).content), "whatever is between them"
    check_values(apart)
    twice = replace(windows.values["b.others"], op=Slice(part=0, of=2))
    same = changed(windows, b_others=twice)
    assert "= scaled.chunk(2, dim=1)[0]" in str(BACKEND.lower(same).content)
    check_values(same)
    whole = changed(windows, a_gate=replace(windows.values["a.gate"], op=Slice(part=0, of=1)))
    assert "x = others.chunk(1, dim=1)[0]" in str(BACKEND.lower(whole).content), "the only part"
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


def test_numbers_that_are_equal_by_chance_keep_separate_names(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(EQUAL_BY_CHANCE)
    graph = load_graph(path)
    unit = classes_of(graph)["Unit"]
    assert "self, width: int, count: int = 1, stride: int = 1, kernel: int = 1\n" in unit
    assert "2, width, kernel_size=kernel, stride=stride, padding=kernel // 2\n" in unit
    assert "nn.Dropout(p=0.5) if count > 1 else nn.Identity()" in unit
    assert "nn.Conv2d(width, 8, kernel_size=1, groups=count)" in unit
    assert "nn.Conv2d(8, width, kernel_size=count, padding=count // 2)" in unit, "as in the spec"
    check_values(graph)


SPLIT = """
name: split
input: {shape: [8, 8, 6]}
blocks:
  mixer:  # convolves a quarter of the channels along each axis and leaves the others unchanged
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


def test_bounds_that_differ_are_computed_from_a_parameter(tmp_path: Path) -> None:
    (tmp_path / "split.yaml").write_text(SPLIT, encoding="utf-8")
    graph = load_graph(tmp_path / "split.yaml")
    classes = classes_of(graph)
    assert list(classes) == ["Mixer", "Split"]
    assert "        same = input[:, : self.in_channels - (2 * self.branch)]\n" in classes["Mixer"]
    assert "self.mixer2 = Mixer(12)\n" in classes["Split"]
    check_values(graph)


def test_the_last_axis_is_one_number_whatever_the_rank(tmp_path: Path) -> None:
    blocks = """
  unit:
    layers:
      unit: {op: l2_normalize}
      mean: {op: reduce_mean, axes: [-1], keepdims: true}
      share: {op: softmax, inputs: unit}
      both: {op: concat, inputs: [share, mean], axis: -1}
      q: {op: slice, axis: -1, part: 0, of: 3}
      k: {op: slice, inputs: both, axis: -1, part: 1, of: 3}
      v: {op: slice, inputs: both, axis: -1, part: 2, of: 3}
      sum: {op: add, inputs: [q, k, v]}
      length: {op: reduce_l2, axes: [-1], keepdims: true}
"""
    layers = "a: {block: unit}\n  rows: {op: reshape, inputs: input, shape: [32, 8]}\n  b: {block: unit}"
    graph = graph_of_blocks(blocks, f"{layers}\noutputs: [a, b]", tmp_path, shape="[4, 8, 8]")
    source = check_one_class(graph, BACKEND)
    assert source.count("dim=-1") == 5
    assert ".mean(-1, keepdim=True)" in source
