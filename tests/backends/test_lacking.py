"""Instances that lack layers of their block share its class or function, whatever they read and pad instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from netspec.graph import Graph
from netspec.lowering import find_backend
from netspec.spec import load_graph
from tests.backends.values import check_values, source_of

GHOSTS = """name: ghosts
input: {shape: [4, 6, 6]}
blocks:
  gate:
    inputs: [features, input]
    layers:
      conv: {op: conv2d, inputs: input, filters: "${features.channels}", kernel_size: 1}
      gated: {op: multiply, inputs: [features, conv]}
  ghost:
    parameters: {filters: {type: integer}, gate: false, half: "${(filters + 1) // 2}"}
    layers:
      primary: {op: conv2d, filters: "${half}", kernel_size: 1}
      cheap: {op: conv2d, filters: "${half}", kernel_size: 3, padding: 1}
      both: {op: concat, inputs: [primary, cheap]}
      cut: {op: slice, stop: "${filters}", when: "${filters % 2 == 1}"}
      gated: {block: gate, inputs: [cut, input], when: "${gate}"}
      relu: {op: relu, inputs: "${'gated' if gate else 'cut'}"}
layers:
  cut_and_gated: {block: ghost, filters: 5, gate: true}
  gated: {block: ghost, filters: 6, gate: true}
  cut: {block: ghost, filters: 7}
  plain: {block: ghost, filters: 8}
"""
SIDES = """name: sides
input: {shape: [4, 16, 16]}
blocks:
  conv:
    parameters: {filters: {type: integer}, tall: 1, wide: 1}
    layers:
      conv:
        op: conv2d
        filters: "${filters}"
        stride: 2
        kernel_size: {height: "${tall}", width: "${wide}"}
        padding: {top: "${tall // 2}", bottom: "${tall // 2}", left: "${wide // 2}", right: "${wide // 2}"}
      relu: {op: relu}
layers:
  square: {block: conv, filters: 3, tall: 3, wide: 3}
  row: {block: conv, filters: 4, wide: 3}
  column: {block: conv, filters: 5, tall: 3}
  point: {block: conv, filters: 6}
"""


def read(text: str, folder: Path) -> Graph:
    path = folder / "spec.yaml"
    path.write_text(text)
    return load_graph(path)


@pytest.mark.parametrize("backend", ["torch", "keras"])
@pytest.mark.parametrize("text", [GHOSTS, SIDES], ids=["ghosts", "sides"])
def test_each_block_is_written_once(text: str, backend: str, tmp_path: Path) -> None:
    graph = read(text, tmp_path)
    source = source_of(graph, backend)
    assert source.count('"""The block') == len({scope.block for scope in graph.scopes})
    check_values(graph, find_backend(backend))


def test_conditions_are_those_of_the_spec(tmp_path: Path) -> None:
    source = source_of(read(GHOSTS, tmp_path), "torch")
    assert "        if self.filters % 2 == 1:\n            x = x[:, : self.filters]\n" in source
    source = source_of(read(SIDES, tmp_path), "keras")
    assert "    if tall // 2 > 0 or wide // 2 > 0:\n" in source
