"""Expressions in the network's own layers: they can use the shapes of a layer's inputs and of named values."""

from __future__ import annotations

from pathlib import Path

import pytest

from netspec.errors import SpecError
from netspec.graph import Graph
from netspec.spec import load_graph
from tests.calls import calls_of
from tests.spec.conftest import IMAGE, Load

UNIT = """blocks:
  unit:
    parameters: {width: 4, out: "${channels}"}
    layers:
      conv: {op: conv2d, filters: "${width}", kernel_size: 1}
      project: {op: conv2d, filters: "${out}", kernel_size: 1}
  pair:
    layers:
      left: {op: conv2d, filters: 5, kernel_size: 1}
      right: {op: max_pool2d, inputs: input, kernel_size: 2, stride: 2}
    outputs: [left, right]
"""


def features(graph: Graph, *names: str) -> list[int]:
    return [graph.type_of(name).features[0] for name in names]


def problems(load: Load, text: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        load(text)
    return [d.message for d in caught.value.diagnostics]


def test_a_layer_sees_what_it_reads_and_not_what_the_network_reads(load: Load) -> None:
    graph = load(
        """layers:
  a: {op: conv2d, filters: "${2 * channels}", kernel_size: 1}
  b: {op: conv2d, filters: "${2 * channels}", kernel_size: 3}
  c: {op: conv2d, filters: "${height * 10 + width}", kernel_size: 1}
  d: {op: conv2d, filters: "${input.height + shape[2]}", kernel_size: 1}
  e: {op: flatten}
  f: {op: dense, units: "${shape[0] // 4}"}
"""
    )
    assert features(graph, "a", "b", "c", "d", "e", "f") == [6, 12, 64, 12, 288, 72]


def test_of_several_values_the_first_is_seen_and_each_by_its_name(load: Load) -> None:
    graph = load(
        UNIT
        + """layers:
  a: {op: conv2d, filters: 7, kernel_size: 3}
  p: {block: pair}
  b: {op: conv2d, inputs: p.right, filters: "${channels + a.height}", kernel_size: 1}
  c: {op: concat, inputs: [p.left, a]}
  d: {op: conv2d, filters: "${p.left.channels * 100 + p.right.height * 10 + channels}", kernel_size: 1}
  e: {op: identity, inputs: b}
outputs: [d, e]
"""
    )
    assert features(graph, "b", "d") == [7 + 6, 500 + 30 + 12]


def test_a_value_may_be_read_twice(load: Load) -> None:
    graph = load(
        """layers:
  a: {op: add, inputs: [input, input], when: "${channels == 3}"}
  b: {op: concat, inputs: [a, a]}
  c: {op: conv2d, filters: "${channels}", kernel_size: 1}
"""
    )
    assert features(graph, "b", "c") == [6, 6]


def test_the_order_of_the_file_is_not_that_of_the_values(load: Load) -> None:
    graph = load(
        """layers:
  last: {op: conv2d, inputs: first, filters: "${channels + side.channels}", kernel_size: 1}
  side: {op: conv2d, inputs: first, filters: "${channels + 1}", kernel_size: 1}
  first: {op: conv2d, inputs: input, filters: "${channels + 1}", kernel_size: 1}
outputs: [last, side]
"""
    )
    assert features(graph, "first", "side", "last") == [4, 5, 9]


def test_arguments_ends_repeats_and_conditions_see_shapes(load: Load) -> None:
    text = UNIT + "parameters: {wide: true}\n"
    text += """layers:
  a: {op: conv2d, filters: 6, kernel_size: 1, when: "${wide}"}
  s: {block: unit, width: "${channels + index}", repeat: "${channels // 2}", first: {out: "${channels * 2}"},
      last: {out: "${height}"}}
  drop: {op: conv2d, filters: 1, kernel_size: 1, when: "${channels > 100}"}
  b: {op: conv2d, filters: "${channels + drop.width}", kernel_size: 1}
  c: {block: unit, width: "${a.channels}"}
"""
    graph = load(text)
    assert features(graph, "s.0.conv", "s.0.project", "s.1.conv", "s.2.conv", "s.2.project") == [6, 12, 7, 8, 8]
    assert features(graph, "b", "c.conv") == [8 + 6, 6]
    graph = load(text, {"wide": "false"})
    assert [s.path for s in graph.scopes if s.is_stack] == ["s"]
    assert features(graph, "s.0.conv", "s.0.project", "b", "c.conv") == [3, 8, 14, 3]


def test_op_and_block_may_be_chosen_by_a_shape(load: Load) -> None:
    graph = load(
        UNIT
        + """layers:
  a: {op: "${'relu' if channels == 3 else 'tanh'}"}
  p: {block: "${'pair' if width > 5 else 'unit'}"}
outputs: [p.left, p.right]
"""
    )
    assert [node.op.kind for node in graph.nodes] == ["relu", "conv2d", "max_pool2d"]


def test_a_layer_that_reads_nothing_sees_the_values_that_it_names(load: Load) -> None:
    graph = load(
        """layers:
  a: {op: conv2d, filters: 4, kernel_size: 1}
  scale: {op: parameter, shape: ["${a.channels}", 1, 1]}
  b: {op: multiply, inputs: [a, scale]}
"""
    )
    assert graph.type_of("scale").features == (4, 1, 1)
    assert problems(
        load, "layers:\n  a: {op: relu}\n  b: {op: parameter, shape: ['${channels}']}\noutputs: [a, b]\n"
    ) == ["the parameter 'channels' is not defined"]


def test_parameters_hide_shapes(load: Load) -> None:
    text = "parameters: {width: 9, a: 2}\nlayers:\n  a: {op: relu}\n"
    graph = load(text + "  b: {op: conv2d, filters: '${width + a + height}', kernel_size: 1}\n")
    assert features(graph, "b") == [19]


def test_a_layer_that_needs_its_own_shape_is_a_cycle(load: Load) -> None:
    conv = "{op: conv2d, kernel_size: 1, "
    assert problems(load, f"layers:\n  a: {conv}filters: '${{b.channels}}'}}\n  b: {{op: relu}}\n") == [
        "'a' needs its own shape: a sees the shape of b reads a"
    ]
    assert problems(load, f"layers:\n  a: {conv}filters: '${{a.channels}}'}}\n") == [
        "'a' needs its own shape: a sees the shape of a"
    ]
    text = f"layers:\n  a: {conv}inputs: b, filters: '${{channels}}'}}\n  b: {conv}inputs: a, filters: 3}}\n"
    assert problems(load, text) == ["'a' needs its own output: a reads b reads a"]


def test_which_values_are_read_cannot_depend_on_a_shape(load: Load) -> None:
    text = "layers:\n  a: {op: relu}\n  b: {op: tanh, inputs: \"${'a' if channels > 3 else 'input'}\"}\n"
    assert problems(load, text) == [
        "`inputs:` cannot depend on a shape: which shapes arrive is known only once the inputs are"
    ]


def test_sizes_of_a_map_are_refused_where_features_arrive(load: Load) -> None:
    text = "layers:\n  a: {op: flatten}\n  b: {op: dense, units: '${channels}'}\n  c: {op: dense, units: '${height}'}\n"
    assert problems(load, text) == ["what arrives has no channels: it is (N, 144), and a map is (N, C, H, W)"]


def test_shapes_after_a_wrong_layer_are_not_reported_but_other_mistakes_are(load: Load) -> None:
    text = """layers:
  a: {op: conv2d, filters: 3, kernel_size: 9}
  b: {op: conv2d, filters: "${channels}", kernel_size: 1}
  c: {op: conv2d, filters: "${channels}", kernel_size: 1, padding: -1}
  d: {op: conv2d, filters: "${channels + nothing}", kernel_size: 1}
"""
    assert problems(load, text) == [
        "conv2d: a kernel of 9x9 does not fit its input of 8x6 (receives (N, 3, 8, 6) from input)",
        "expected a non-negative integer, received -1",
        "the parameter 'nothing' is not defined",
    ]


def test_a_dropped_layer_that_reads_two_values_has_no_shape(load: Load) -> None:
    text = "layers:\n  a: {op: relu}\n  d: {op: add, inputs: [a, input], when: false}\n"
    text += "  b: {op: conv2d, inputs: a, filters: '${d.channels}', kernel_size: 1}\n"
    assert problems(load, text) == ["'d' is dropped here, and has no shape: it does not read exactly one value"]


def test_a_missing_layer_is_reported_once(load: Load) -> None:
    text = "layers:\n  a: {op: conv2d, inputs: nowhere, filters: '${channels}', kernel_size: 1}\n"
    assert problems(load, text) == ["there is no layer or input 'nowhere'"]


def test_cost_grows_linearly_with_layers_that_read_shapes(tmp_path: Path) -> None:
    def chain(count: int) -> Path:
        lines = [f'  a{i}: {{op: conv2d, filters: "${{channels}}", kernel_size: 1}}\n' for i in range(count)]
        path = tmp_path / f"{count}.yaml"
        path.write_text(f"{IMAGE}layers:\n{''.join(lines)}")
        return path

    load_graph(chain(3))  # models build their validators once
    few, many, more = (calls_of(load_graph, chain(count)) for count in (50, 500, 550))
    assert more - many == pytest.approx(few, rel=0.1)
