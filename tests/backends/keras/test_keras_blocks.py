"""Blocks in emitted Keras: one function each, layers named by path, correct code for graphs that passes changed."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from netspec_keras import BACKEND
from netspec_keras.layout import native_name

from netspec.graph import Graph, Node
from netspec.ops import Tanh
from netspec.spec import load_graph
from netspec.weights import initialize
from tests.backends import values


def functions_of(graph: Graph) -> dict[str, str]:
    """Return the source of each emitted function by its name, without the private helpers of support layers."""
    functions = re.split(r"\n\n\ndef ", str(BACKEND.lower(graph).content))[1:]
    by_name = {text.partition("(")[0]: text for text in functions}
    return {name: text for name, text in by_name.items() if not name.startswith("_")}


def check_values(graph: Graph) -> None:
    """Assert that the emitted model agrees with the reference."""
    values.check_values(graph, BACKEND)


@pytest.fixture(scope="module")
def blocks() -> Graph:
    return load_graph("tests/golden/blocks.yaml")


def test_a_family_has_one_function_per_block() -> None:
    functions = functions_of(load_graph("specs/resnet.yaml"))
    assert list(functions) == ["projection", "bottleneck", "build_resnet50"]
    assert 'for i in range(1, 6):\n        x = bottleneck(x, 256, name=f"layer3-{i}")\n' in functions["build_resnet50"]


def test_layers_are_named_by_path(blocks: Graph) -> None:
    artifact = BACKEND.lower(blocks)
    model = BACKEND.load(artifact, initialize(blocks)).native
    names = {layer.name for layer in model.layers}
    assert {native_name(node.name) for node in blocks.nodes} <= names
    assert {b.path.partition("/")[0] for b in artifact.bindings} <= names
    assert "units-4-squeeze-scale" in names
    assert "units-1-conv_pad" in names


def test_each_block_is_computed(blocks: Graph) -> None:
    check_values(blocks)
    check_values(blocks.with_outputs(node.name for node in blocks.nodes))


def test_an_instance_that_was_changed_has_a_function_of_its_own(blocks: Graph) -> None:
    nodes = tuple(replace(n, op=Tanh()) if n.name == "units.1.act" else n for n in blocks.nodes)
    graph = replace(blocks, nodes=nodes).check()
    assert [name for name in functions_of(graph) if name.startswith("unit")] == ["unit", "unit_2"]
    check_values(graph)


def test_scopes_that_are_lost_leave_flat_code(blocks: Graph) -> None:
    flat = replace(blocks, scopes=())
    assert list(functions_of(flat)) == ["build_blocks"]
    assert all(isinstance(node, Node) for node in flat.nodes)
    check_values(flat)


def test_a_saved_model_can_be_loaded(blocks: Graph, tmp_path: Path) -> None:
    weights = initialize(blocks)
    source, saved = BACKEND.write(BACKEND.lower(blocks), weights, tmp_path)
    assert source.read_text() == BACKEND.lower(blocks).content
    loaded = keras.saving.load_model(saved)
    x = np.random.default_rng(0).standard_normal((2, 8, 6, 4)).astype(np.float32)
    expected = BACKEND.load(BACKEND.lower(blocks), weights).native(x)
    for ours, theirs in zip(loaded(x), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


PADDED = """name: padded
input: {shape: [4, 8, 8]}
blocks:
  unit:
    parameters: {filters: 4, kernel: 1, stride: 1, wide: false}
    layers:
      conv: {op: conv2d, filters: "${filters}", kernel_size: "${kernel}", stride: "${stride}",
             padding: "${kernel // 2}"}
      relu: {op: relu, when: "${not wide}"}
      tanh: {op: tanh, when: "${wide}"}
      more: {op: conv2d, filters: 4, kernel_size: 1, when: "${wide}"}
      pool: {op: max_pool2d, kernel_size: 3, stride: 2, padding: 1, when: "${wide}"}
layers:
  a: {block: unit}
  b: {block: unit, inputs: input, kernel: 3, stride: 2}
  c: {block: unit, inputs: input, kernel: 5, filters: 2}
  d: {block: unit, inputs: input, kernel: 3, wide: true}
outputs: [a, b, c, d]
"""


def test_padding_that_only_some_instances_have_is_conditional(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(PADDED)
    graph = load_graph(path)
    functions = functions_of(graph)
    assert list(functions) == ["unit", "build_padded"]
    assert (
        '    if kernel // 2 > 0:\n        x = layers.ZeroPadding2D(kernel // 2, name=f"{name}-conv_pad")(x)\n'
        in (functions["unit"])
    )
    assert "        if wide\n        else layers.ReLU(" in functions["unit"]
    assert functions["unit"].count("    if wide:\n        x = layers.Conv2D(4, 1") == 1
    assert functions["unit"].count("if wide") == 2, "layers with the same condition share one `if`"
    check_values(graph)


def test_instances_that_differ_in_form_share_a_function() -> None:
    graph = load_graph("tests/golden/variants.yaml")
    functions = functions_of(graph)
    assert list(functions) == ["conv_bn", "branches", "deep", "reduce", "gated", "build_variants"]
    assert "return residual, skip" in functions["gated"], "in the order of the block's outputs"
    assert 'padding="same"' in functions["conv_bn"], "for 1x1 kernels too"
    assert "    for i in range(1, count + 1):\n" in functions["deep"], "the first instance differs"
    check_values(graph)


WIDTHS = """name: widths
inputs:
  left: {shape: [4, 8, 8]}
  right: {shape: [7, 8, 8]}
blocks:
  joint:
    inputs: [left, right]
    parameters: {filters: {type: integer}}
    layers:
      a: {op: conv2d, inputs: left, filters: "${2 * left.channels}", kernel_size: 1}
      b: {op: conv2d, inputs: right, filters: "${right.channels + left.channels}", kernel_size: 1}
      joined: {op: concat, inputs: [a, b]}
      conv: {op: conv2d, filters: "${filters}", kernel_size: 1}
  stated:
    parameters: {channels: {type: integer}}
    layers:
      conv: {op: conv2d, filters: "${channels}", kernel_size: 1}
layers:
  one: {block: joint, inputs: [left, right], filters: 4}
  two: {block: joint, inputs: [one, right], filters: 6}
  three: {block: joint, inputs: [right, two], filters: 5}
  first: {block: stated, inputs: one, channels: 4}
  second: {block: stated, inputs: two, channels: 6}
outputs: [three, first, second]
"""


def test_channels_are_read_from_the_inputs(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(WIDTHS)
    graph = load_graph(path)
    functions = functions_of(graph)
    assert "    channels = left.shape[-1]\n    right_channels = right.shape[-1]\n" in functions["joint"]
    assert "two = joint(one, right, 6, name=" in functions["build_widths"]
    assert "channels: int" in functions["stated"], "an argument of the spec stays one, though it equals the channels"
    check_values(graph)


def test_a_block_of_ordinary_and_depthwise_convolutions_is_one_function(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(
        """name: ghosts
input: {shape: [4, 6, 6]}
blocks:
  conv:
    parameters: {filters: {type: integer}, groups: 1}
    layers:
      conv: {op: conv2d, filters: "${filters}", kernel_size: 3, padding: 1, groups: "${groups}"}
layers:
  primary: {block: conv, filters: 8}
  cheap: {block: conv, filters: 8, groups: 8}
  again: {block: conv, filters: 6}
  last: {block: conv, filters: 6, groups: 6}
"""
    )
    functions = functions_of(load_graph(path))
    assert list(functions) == ["conv", "build_ghosts"]
    assert "\n        if groups == 1\n        else layers.DepthwiseConv2D(3, " in functions["conv"]
