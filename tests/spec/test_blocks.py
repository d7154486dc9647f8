"""Blocks: their parameters, inputs, layers, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from netspec.errors import SpecError
from netspec.graph import Graph, Scope
from netspec.spec import load_graph
from tests.calls import calls_of
from tests.spec.conftest import IMAGE, Load

UNIT = """blocks:
  unit:
    parameters: {width: {type: integer}, stride: 1, act: true}
    layers:
      conv: {op: conv2d, filters: "${width}", kernel_size: 3, padding: 1, stride: "${stride}"}
      relu: {op: relu, when: "${act}"}
"""


def reads(graph: Graph) -> dict[str, str]:
    return {node.name: ", ".join(node.inputs) for node in graph.nodes}


def test_layers_of_a_block_have_its_name_in_their_paths(load: Load) -> None:
    graph = load(UNIT + "layers:\n  stem: {block: unit, width: 4}\n  last: {op: tanh}\n")
    assert reads(graph) == {"stem.conv": "input", "stem.relu": "stem.conv", "last": "stem.relu"}
    assert set(graph.weights) == {"stem.conv.weight", "stem.conv.bias"}
    assert graph.scopes == (Scope("stem", "unit", (("width", 4), ("stride", 1), ("act", True)), (("input", "input"),)),)


def test_a_stack_is_numbered_and_its_ends_may_differ(load: Load) -> None:
    graph = load(
        UNIT + "layers:\n  s: {block: unit, width: 4, repeat: 3, first: {stride: 2}, last: {act: false, width: 5}}\n"
    )
    assert list(reads(graph)) == ["s.0.conv", "s.0.relu", "s.1.conv", "s.1.relu", "s.2.conv"]
    assert [graph.type_of(name).features for name in ("s.0.conv", "s.1.conv", "s.2.conv")] == [
        (4, 4, 3),
        (4, 4, 3),
        (5, 4, 3),
    ]
    assert [scope.path for scope in graph.scopes if scope.is_stack] == ["s"]
    assert graph.outputs == ("s.2.conv",)


def test_a_stack_of_one_is_numbered_too_and_one_of_none_is_not_there(load: Load) -> None:
    text = UNIT + "parameters: {n: 1}\nlayers:\n  s: {block: unit, width: 4, repeat: '${n}'}\n  end: {op: tanh}\n"
    assert list(reads(load(text))) == ["s.0.conv", "s.0.relu", "end"]
    assert reads(load(text, {"n": 0})) == {"end": "input"}


def test_the_index_counts_instances(load: Load) -> None:
    graph = load(
        UNIT + "layers:\n  s: {block: unit, width: '${4 + 2 * index}', repeat: 3, last: {width: '${index}'}}\n"
    )
    assert [graph.type_of(f"s.{i}.conv").features[0] for i in range(3)] == [4, 6, 2]


def test_expressions_see_the_shape_that_arrives(load: Load) -> None:
    graph = load(
        """blocks:
  shapes:
    inputs: [x, skip]
    parameters: {width: "${channels + skip.channels}", tall: "${height}"}
    layers:
      a: {op: conv2d, inputs: x, filters: "${width}", kernel_size: 1}
      b: {op: conv2d, filters: "${tall * 10 + x.width}", kernel_size: 1}
      c: {op: conv2d, inputs: skip, filters: "${shape[0]}", kernel_size: 1}
    outputs: [b, c]
layers:
  more: {op: conv2d, filters: "${channels * 3}", kernel_size: 1}
  use: {block: shapes, inputs: [input, more]}
outputs: [use.b, use.c]
"""
    )
    assert {node.name: node.type.features[0] for node in graph.nodes} == {
        "more": 9,
        "use.a": 12,
        "use.b": 86,
        "use.c": 3,
    }


def test_parameters_hide_the_names_of_shapes(load: Load) -> None:
    text = "parameters: {height: 2}\nblocks:\n  b:\n    parameters: {width: 5}\n    layers:\n"
    text += "      conv: {op: conv2d, filters: '${10 * height + width}', kernel_size: 1}\nlayers:\n  b: {block: b}\n"
    assert load(text).type_of("b.conv").features[0] == 25


def test_outputs_of_a_block_are_read_by_path(load: Load) -> None:
    graph = load(
        """blocks:
  split:
    layers:
      left: {op: relu}
      right: {op: tanh, inputs: input}
    outputs: [right, left]
  outer:
    layers:
      split: {block: split}
    outputs: [split.left, split.right]
layers:
  a: {block: outer}
  b: {op: add, inputs: [a.split.right, a.split.left]}
  c: {block: split}
outputs: [c.left, c.right]
"""
    )
    assert reads(graph)["b"] == "a.split.right, a.split.left"
    assert graph.outputs == ("c.left", "c.right")


def test_outputs_of_a_stack_feed_its_inputs_in_order_and_other_inputs_stay(load: Load) -> None:
    graph = load(
        """blocks:
  swap:
    inputs: [x, y, z]
    layers:
      a: {op: add, inputs: [x, z]}
      b: {op: relu, inputs: y}
    outputs: [b, a]
layers:
  one: {op: relu}
  two: {op: tanh}
  s: {block: swap, inputs: [input, one, two], repeat: 2}
  end: {op: add, inputs: [s.a, s.b]}
"""
    )
    assert reads(graph)["s.0.a"] == "input, two"
    assert reads(graph)["s.1.a"] == "s.0.b, two"
    assert reads(graph)["s.1.b"] == "s.0.a"


def test_readers_of_a_dropped_layer_read_its_input(load: Load) -> None:
    text = """parameters: {x: false}
layers:
  a: {op: relu}
  b: {op: sigmoid, when: "${x}"}
  c: {op: tanh, when: "${x}"}
  d: {op: add, inputs: [c, a]}
  e: {op: silu, when: "${x}"}
outputs: [e, b]
"""
    graph = load(text)
    assert reads(graph) == {"a": "input", "d": "a, a"}
    assert graph.outputs == ("d", "a")
    assert list(reads(load(text, {"x": True}))) == ["a", "b", "c", "d", "e"]


def test_a_block_without_layers_returns_its_input(load: Load) -> None:
    text = "blocks: {maybe: {layers: {act: {op: relu, when: '${channels > 3}'}}}}\n"
    graph = load(text + "layers:\n  m: {block: maybe}\n  end: {op: tanh}\n")
    assert reads(graph) == {"end": "input"}


def test_outputs_of_a_block_may_be_one_value(load: Load) -> None:
    graph = load(
        """blocks:
  two:
    layers:
      a: {op: relu}
      b: {op: tanh, when: "${channels > 3}"}
    outputs: [a, b]
layers:
  x: {block: two}
  sum: {op: add, inputs: [x.a, x.b]}
"""
    )
    assert reads(graph) == {"x.a": "input", "sum": "x.a, x.a"}


def test_defaults_reach_into_blocks_and_what_is_stated_wins(load: Load) -> None:
    graph = load(
        UNIT
        + """defaults: {conv2d: {bias: false, initialize: {weight: 0.5}}}
layers:
  stem: {op: conv2d, filters: 2, kernel_size: 1, bias: true, initialize: {bias: 1}}
  unit: {block: unit, width: 4}
"""
    )
    assert set(graph.weights) == {"stem.weight", "stem.bias", "unit.conv.weight"}


def test_a_block_may_be_chosen_by_a_parameter(load: Load) -> None:
    text = "parameters: {which: one}\nblocks:\n  one: {layers: {a: {op: relu}}}\n  two: {layers: {b: {op: tanh}}}\n"
    text += "layers:\n  x: {block: '${which}'}\n"
    assert list(reads(load(text))) == ["x.a"]
    assert list(reads(load(text, {"which": "two"}))) == ["x.b"]


def test_cost_grows_with_the_instances(tmp_path: Path) -> None:
    def stack(count: int) -> Path:
        path = tmp_path / f"{count}.yaml"
        path.write_text(f"{IMAGE}{UNIT}layers:\n  s: {{block: unit, width: 3, repeat: {count}}}\n")
        return path

    load_graph(stack(3))  # models build their validators once
    few, many, more = (calls_of(load_graph, stack(count)) for count in (50, 500, 550))
    assert more - many == pytest.approx(few, rel=0.1)


@pytest.mark.parametrize("name", ["block_bomb", "block_growth", "block_repeat_too_often"])
def test_growth_is_refused_before_it_is_made(name: str) -> None:
    def refused(path: Path) -> None:
        with pytest.raises(SpecError, match="at most 100,000 are taken"):
            load_graph(path)

    load_graph("specs/mlp.yaml")  # models build their validators once
    assert calls_of(refused, Path("specs/invalid") / f"{name}.yaml") < 1_000_000, "of calls: not one for each layer"


def test_blocks_within_blocks_have_an_end(tmp_path: Path) -> None:
    blocks = "".join(f"  b{i}: {{layers: {{x: {{block: b{i + 1}}}}}}}\n" for i in range(500))
    path = tmp_path / "deep.yaml"
    path.write_text(f"{IMAGE}blocks:\n{blocks}  b500: {{layers: {{x: {{op: relu}}}}}}\nlayers: {{x: {{block: b0}}}}\n")
    with pytest.raises(SpecError, match="blocks are nested more than 16 levels deep"):
        load_graph(path)


def test_an_empty_key_is_no_parameter_of_a_block(load: Load) -> None:
    with pytest.raises(SpecError, match="the block 'b' has no parameter ''"):
        load("blocks: {b: {layers: {a: {op: relu}}}}\nlayers: {x: {block: b, '': 3}}\n")


@pytest.mark.parametrize("layer", ['{op: parameter, shape: "${given}"}', '{op: "${kind}", shape: "${given}"}'])
def test_a_parameter_may_be_the_first_layer_of_a_block(load: Load, layer: str) -> None:
    """It needs no `inputs`, even when a block is checked before its use."""
    block = f"""blocks:
  biased:
    inputs: [x, y]
    parameters: {{given: {{type: list}}, kind: parameter}}
    layers:
      offset: {layer}
      sum: {{op: add, inputs: [x, y, offset]}}
"""
    graph = load(block + "layers:\n  s: {block: biased, inputs: [input, input], given: [3, 8, 6]}\n")
    assert reads(graph) == {"s.offset": "", "s.sum": "input, input, s.offset"}
