"""Blocks, parameters and layers may have the names that emitted source uses, support code included."""

from __future__ import annotations

from pathlib import Path

import pytest

from netspec.lowering import find_backend
from tests.backends.values import check_values, graph_of_blocks

BLOCK = """
  BLOCK:
    parameters: {PARAMETER: 1}
    layers:
      resize: {op: resize, size: 3, mode: bilinear, coordinates: align_corners}
      conv: {op: conv2d, filters: "${PARAMETER}", kernel_size: 1}
      gelu: {op: gelu, form: tanh}
"""
USES = "a: {block: BLOCK, PARAMETER: 3}\n  b: {block: BLOCK, PARAMETER: 2}"
OF_SOURCE = ("x", "y", "name", "torch", "nn", "layers", "self")
OF_SUPPORT = ("math", "Fraction", "Any", "super", "max", "range", "list", "Resize2D")
# Layers with the names of functions that the emitted `forward` calls again while it needs their results.
CALLS = {
    "relative_position_bias": ("[15, 2]", "{op: relative_position_bias, inputs: input, grid: [2, 3]}"),
    "mask_regions": ("[4, 3, 3]", "{op: region_mask, inputs: input, regions: [[3, 9]], window_size: [3]}"),
    "causal_bias": (
        "[4, 4]",
        "{op: scaled_dot_product_attention, inputs: [input, input, input, input], causal: true}",
    ),
}
both_backends = pytest.mark.parametrize("backend", ["torch", "keras"])


@both_backends
@pytest.mark.parametrize("name", [*OF_SOURCE, *OF_SUPPORT])
def test_a_block(name: str, backend: str, tmp_path: Path) -> None:
    blocks, uses = (text.replace("BLOCK", name).replace("PARAMETER", "width") for text in (BLOCK, USES))
    check_values(graph_of_blocks(blocks, uses, tmp_path, shape="[2, 5, 4]"), find_backend(backend))


@both_backends
@pytest.mark.parametrize("name", OF_SOURCE)
def test_a_parameter_of_a_block(name: str, backend: str, tmp_path: Path) -> None:
    blocks, uses = (text.replace("BLOCK", "unit").replace("PARAMETER", name) for text in (BLOCK, USES))
    check_values(graph_of_blocks(blocks, uses, tmp_path, shape="[2, 5, 4]"), find_backend(backend))


@both_backends
@pytest.mark.parametrize("name", CALLS)
def test_a_layer(name: str, backend: str, tmp_path: Path) -> None:
    shape, layer = CALLS[name]
    blocks = f"""
  unit:
    layers:
      {name}: {layer}
      again: {layer}
      sum: {{op: add, inputs: [{name}, again]}}
"""
    graph = graph_of_blocks(blocks, "a: {block: unit}", tmp_path, shape=shape)
    check_values(graph, find_backend(backend))
