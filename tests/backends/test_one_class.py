"""A block is one class in PyTorch and one function in Keras, however its arguments and inputs make instances differ."""

from __future__ import annotations

from pathlib import Path

import pytest

from netspec.lowering import find_backend
from tests.backends.values import check_one_class, graph_of_blocks, source_of

UNIT = """
  unit:
    parameters: {filters: {type: integer}, chosen: {type: string}}
    layers:
      conv: {op: conv2d, filters: "${filters}", kernel_size: 3, padding: 1}
      last: {op: "${chosen}"}
"""
CASES = {
    "a block and a parameter called as emitted source calls its running value": (
        UNIT.replace("unit:", "x:").replace("filters", "x").replace('x: "$', 'filters: "$'),
        "a: {block: x, x: 8, chosen: relu}\n  b: {block: x, x: 6, chosen: tanh}",
    ),
    "a parameter called as a provisional variable once was": (
        UNIT.replace("filters", "value__0").replace('value__0: "$', 'filters: "$'),
        "a: {block: unit, value__0: 8, chosen: relu}\n  b: {block: unit, value__0: 6, chosen: tanh}",
    ),
    "a parameter called as a parameter of what builds calls": (
        UNIT.replace("filters", "function").replace('function: "$', 'filters: "$').replace("{type: integer}", "8"),
        "a: {block: unit, function: 4, chosen: relu}\n  b: {block: unit, chosen: tanh}",
    ),
    "an op by an argument, in modules": (
        UNIT.replace('{op: "${chosen}"}', '{op: "${chosen}", kernel_size: 2}'),
        "a: {block: unit, filters: 8, chosen: max_pool2d}\n  b: {block: unit, filters: 6, chosen: avg_pool2d}",
    ),
    "three ops by an argument, one with weights": (
        UNIT,
        "a: {block: unit, filters: 8, chosen: relu}\n  b: {block: unit, filters: 6, chosen: prelu}\n"
        "  c: {block: unit, filters: 6, chosen: tanh}",
    ),
    "a merge by an argument": (
        UNIT.replace('{op: "${chosen}"}', '{op: "${chosen}", inputs: [conv, input]}'),
        "a: {block: unit, filters: 4, chosen: add}\n  b: {block: unit, filters: 4, chosen: multiply}\n"
        "  c: {block: unit, filters: 6, chosen: concat}",
    ),
    "a block by an argument": (
        """
  plain:
    layers:
      conv: {op: conv2d, filters: 4, kernel_size: 1}
  fancy:
    layers:
      conv: {op: conv2d, filters: 5, kernel_size: 3, padding: 1}
      tanh: {op: tanh}
  unit:
    parameters: {inner: {type: string}}
    layers:
      body: {block: "${inner}", repeat: 2}
      relu: {op: relu}
""",
        "a: {block: unit, inner: plain}\n  b: {block: unit, inner: fancy}",
    ),
    "a mode by an argument": (
        """
  unit:
    parameters: {mode: nearest}
    layers:
      up: {op: resize, scale: 2, mode: "${mode}", coordinates: "${'asymmetric' if mode == 'nearest' else 'half_pixel'}"}
      relu: {op: relu}
""",
        "a: {block: unit}\n  b: {block: unit, mode: bilinear}",
    ),
    "ordinary, grouped and depthwise convolutions": (
        """
  unit:
    parameters: {groups: 1}
    layers:
      conv: {op: conv2d, filters: 8, kernel_size: 3, padding: 1, groups: "${groups}"}
""",
        "a: {block: unit}\n  b: {block: unit, groups: 8}\n  c: {block: unit, groups: 2}",
    ),
    "strides with and without a dilation": (
        """
  unit:
    parameters: {stride: 1, rate: 1}
    layers:
      conv: {op: conv2d, filters: 8, kernel_size: 3, stride: "${stride}", padding: "${rate}", dilation: "${rate}"}
      each: {op: conv2d, filters: 8, kernel_size: 3, stride: "${stride}", padding: "${rate}", dilation: "${rate}",
             groups: 8}
""",
        "a: {block: unit}\n  b: {block: unit, stride: 2}\n  c: {block: unit, rate: 2}\n"
        "  d: {block: unit, stride: 2, rate: 2}",
    ),
    "two inputs with one value": (
        """
  unit:
    inputs: [current, previous]
    parameters: {filters: 4}
    layers:
      a: {op: conv2d, inputs: current, filters: "${filters}", kernel_size: 3, padding: 1}
      b: {op: conv2d, inputs: previous, filters: "${filters}", kernel_size: 1}
      sum: {op: add, inputs: [a, b]}
""",
        "a: {block: unit, inputs: [input, input]}\n  b: {block: unit, inputs: [a, input]}\n"
        "  c: {block: unit, inputs: [b, a], filters: 6}",
    ),
    "an input that an instance does not read, at two depths": (
        """
  inner:
    inputs: [main, other]
    parameters: {both: true}
    layers:
      conv: {op: conv2d, inputs: main, filters: 4, kernel_size: 1}
      sum: {op: add, inputs: [conv, other], when: "${both}"}
      relu: {op: relu, inputs: "${'sum' if both else 'conv'}"}
  unit:
    inputs: [left, right]
    parameters: {both: true}
    layers:
      inner: {block: inner, inputs: [left, right], both: "${both}"}
      tanh: {op: tanh}
""",
        "a: {block: unit, inputs: [input, input]}\n  b: {block: unit, inputs: [a, input], both: false}\n"
        "  c: {block: unit, inputs: [b, a]}",
    ),
    "a merge of another value where a shortcut is lacking": (
        """
  unit:
    parameters: {width: {type: integer}, stride: 1, project: "${channels != width}"}
    layers:
      relu: {op: relu}
      shortcut: {op: conv2d, filters: "${width}", kernel_size: 1, stride: "${stride}", when: "${project}"}
      subsample: {op: max_pool2d, inputs: input, kernel_size: 1, stride: "${stride}", when: "${stride > 1}"}
      conv: {op: conv2d, inputs: relu, filters: "${width}", kernel_size: 3, stride: "${stride}", padding: 1}
      sum: {op: add, inputs: [conv, "${'shortcut' if project else 'subsample'}"]}
""",
        "a: {block: unit, width: 6, repeat: 2}\n  b: {block: unit, width: 6, stride: 2}\n  c: {block: unit, width: 8}",
    ),
    "three modules by conditions": (
        """
  unit:
    parameters: {kind: {type: integer}}
    layers:
      conv: {op: conv2d, filters: 4, kernel_size: 1, when: "${kind == 0}"}
      max: {op: max_pool2d, kernel_size: 2, when: "${kind == 1}"}
      mean: {op: avg_pool2d, kernel_size: 2, when: "${kind == 2}"}
      relu: {op: relu}
""",
        "a: {block: unit, kind: 0}\n  b: {block: unit, kind: 1}\n  c: {block: unit, kind: 2}",
    ),
    "learned scales that begin with 0, with 1 and with other numbers": (
        """
  scaled:
    parameters: {start: {type: number}}
    layers:
      scale: {op: layer_scale, initialize: {weight: "${start}"}}
      relu: {op: relu}
""",
        'stack: {block: scaled, start: "${index / 2}", repeat: 4}',
    ),
    "at least, and at most, so many channels": (
        """
  squeeze:
    parameters: {least: 4, squeezed: "${max(least, channels // 2, 3)}"}
    layers:
      max: {op: reduce_max, axes: [2, 3], keepdims: true}
      mean: {op: reduce_mean, inputs: input, axes: [2, 3], keepdims: true}
      sum: {op: add, inputs: [max, mean]}
      down: {op: conv2d, filters: "${squeezed}", kernel_size: 1}
      up: {op: conv2d, filters: "${min(channels, 9)}", kernel_size: 1}
      scaled: {op: multiply, inputs: [up, input]}
""",
        "four: {op: conv2d, filters: 4, kernel_size: 1}\n  a: {block: squeeze}\n"
        "  nine: {op: conv2d, filters: 9, kernel_size: 1}\n  b: {block: squeeze}\n  c: {block: squeeze, least: 8}",
    ),
    "sizes of maps": (
        """
  level:
    inputs: [map, other]
    parameters: {bins: {type: integer}}
    layers:
      pool: {op: adaptive_avg_pool2d, inputs: map, output_size: "${bins}"}
      conv: {op: conv2d, filters: 3, kernel_size: 1}
      up: {op: resize, size: {height: "${other.height}", width: "${other.width}"}, mode: bilinear,
           coordinates: half_pixel}
      joined: {op: concat, inputs: [up, other]}
      rows: {op: reshape, shape: ["${other.channels + 3}", "${other.height // 2}", 2, "${other.width}"]}
      swapped: {op: permute, axes: [1, 3, 2, 4]}
      back: {op: reshape, shape: ["${other.channels + 3}", "${other.height}", "${other.width}"]}
""",
        "half: {op: max_pool2d, kernel_size: 2}\n  a: {block: level, inputs: [half, input], bins: 2}\n"
        "  quarter: {op: max_pool2d, inputs: half, kernel_size: 2}\n"
        "  b: {block: level, inputs: [quarter, half], bins: 2}\n"
        "  all: {op: resize, inputs: b, size: 8, mode: nearest, coordinates: asymmetric}\n"
        "  c: {block: level, inputs: [quarter, input], bins: 1}\n"
        "  joined: {op: concat, inputs: [a, all, c]}",
    ),
    "adaptive pools that divide some maps evenly": (
        """
  level:
    parameters: {bins: {type: integer}}
    layers:
      pool: {op: adaptive_avg_pool2d, output_size: "${bins}"}
      conv: {op: conv2d, filters: 3, kernel_size: 1}
""",
        "a: {block: level, bins: 4}\n  b: {block: level, bins: 3}\n  c: {block: level, bins: 2}",
    ),
    "a last layer by conditions": (
        """
  unit:
    parameters: {pool: true}
    layers:
      conv: {op: conv2d, filters: 4, kernel_size: 1}
      max: {op: max_pool2d, kernel_size: 2, when: "${pool}"}
      bn: {op: batch_norm, when: "${not pool}"}
""",
        "a: {block: unit}\n  b: {block: unit, pool: false}",
    ),
}


@pytest.mark.parametrize("backend", ["torch", "keras"])
@pytest.mark.parametrize("case", CASES)
def test_a_block_is_one_class(case: str, backend: str, tmp_path: Path) -> None:
    check_one_class(graph_of_blocks(*CASES[case], tmp_path), find_backend(backend))


@pytest.mark.parametrize(("backend", "channels"), [("torch", "in_channels"), ("keras", "channels")])
def test_the_larger_of_two_numbers_is_no_argument(backend: str, channels: str, tmp_path: Path) -> None:
    source = source_of(graph_of_blocks(*CASES["at least, and at most, so many channels"], tmp_path), backend)
    assert f"    squeezed = max(max(least, {channels} // 2), 3)\n" in source
    assert "    max_ = " in source, "no variable has the name of a function that the source calls"


def test_keras_reads_heights_and_widths_off_the_inputs(tmp_path: Path) -> None:
    source = source_of(graph_of_blocks(*CASES["sizes of maps"], tmp_path), "keras")
    body = source[source.index("def level(") :]
    assert body.startswith("def level(\n    map: keras.KerasTensor, other: keras.KerasTensor, bins: int, name: str\n)")
    assert "    height, width = map.shape[1:3]\n" in body
    assert "    other_height, other_width = other.shape[1:3]\n" in body
    assert "AveragePooling2D((height // bins, width // bins), " in body
    assert "Resize2D(\n        (other_height, other_width),\n" in body
    assert "Reshape(\n        (other_height // 2, 2, other_width * 7), " in body
    assert "Reshape((other_height, other_width, 7), " in body
