"""Arguments of shared classes: their names, and the expressions that compute other numbers from them."""

from __future__ import annotations

from pathlib import Path

import pytest

from netspec.lowering import find_backend
from netspec.spec import load_graph

SPEC = """name: shared
input: {shape: [4, 16, 16]}
blocks:
  conv:
    parameters: {filters: {type: integer}, kernel: 1, relu: true}
    layers:
      conv: {op: conv2d, filters: "${filters}", kernel_size: "${kernel}", padding: {same: tf}}
      relu: {op: relu, when: "${relu}"}
  unit:
    parameters: {width: {type: integer}, stride: 1, count: 1, rate: 0.0}
    layers:
      conv1: {block: conv, filters: "${width}"}
      steps: {block: conv, filters: "${width}", kernel: 3, repeat: "${count - 1}"}
      conv2: {op: conv2d, filters: "${2 * width}", kernel_size: 3, stride: "${stride}", padding: 1}
      drop: {op: stochastic_depth, rate: "${rate}", when: "${rate > 0}"}
      shortcut:
        op: conv2d
        inputs: input
        filters: "${2 * width}"
        kernel_size: 1
        stride: "${stride}"
        when: "${stride > 1 or channels != 2 * width}"
      sum: {op: add, inputs: [drop, shortcut]}
  up:
    inputs: [deep, skip]
    parameters: {filters: {type: integer}, scale: 2, split: true}
    layers:
      reduce: {block: conv, inputs: deep, filters: "${filters // 2 if split else filters}", relu: false}
      larger: {op: resize, scale: "${scale}", mode: nearest, coordinates: asymmetric}
      lateral: {block: conv, inputs: skip, filters: "${filters // 2 if split else filters}", relu: false}
      both: {op: concat, inputs: [larger, lateral]}
      fuse: {block: conv, filters: "${filters}", kernel: 3}
layers:
  a: {block: unit, width: 4}
  b: {block: unit, width: 4, rate: 0.1, count: 2}
  c: {block: unit, width: 8, stride: 2, count: 4, rate: 0.2}
  d: {op: max_pool2d, kernel_size: 2}
  up1: {block: up, inputs: [d, c], filters: 12}
  up2: {block: up, inputs: [d, b], filters: 10, scale: 4, split: false}
outputs: [up1, up2]
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    path = tmp_path_factory.mktemp("shared") / "spec.yaml"
    path.write_text(SPEC)
    graph = load_graph(path)
    return {name: str(find_backend(name).lower(graph).content) for name in ("torch", "keras")}


@pytest.mark.parametrize(
    ("backend", "line"),
    [
        ("torch", "        self, in_channels: int, filters: int, kernel: int = 1, relu: bool = True\n"),
        ("torch", "padding=kernel // 2"),  # `same`, of a stride of 1
        ("torch", "        self.relu = relu\n"),  # no layer has this name
        ("torch", "        has_shortcut = stride > 1 or in_channels != 2 * width\n"),
        # In those that have one, width is as much.
        ("torch", "            nn.Conv2d(in_channels, 2 * width, kernel_size=1, stride=stride)\n"),
        ("torch", "*(Conv(width, width, kernel=3) for _ in range(count - 1))"),
        ("torch", "        self.drop = StochasticDepth(p=rate) if rate > 0 else nn.Identity()\n"),
        ("torch", "skip_channels: int"),
        (
            "torch",
            "        self.lateral = Conv(\n            skip_channels, filters // 2 if split else filters, relu=False\n",
        ),
        ("torch", "        self.fuse = Conv((filters // 2 if split else filters) * 2, filters, kernel=3)\n"),
        ("torch", '        self.larger = nn.Upsample(scale_factor=scale, mode="nearest")\n'),
        ("keras", "\n    for i in range(count - 1):\n"),
        ("keras", 'padding="same"'),
    ],
)
def test_arguments_mean_what_the_spec_means(source: dict[str, str], backend: str, line: str) -> None:
    assert line in source[backend]


@pytest.mark.parametrize("backend", ["torch", "keras"])
def test_each_block_is_one(source: dict[str, str], backend: str) -> None:
    for block in ("conv", "unit", "up"):
        assert source[backend].count(f"The block `{block}`: ") == 1


def test_instances_share_a_class_whatever_values_their_weights_begin_with(tmp_path: Path) -> None:
    (path := tmp_path / "spec.yaml").write_text("""name: shared
input: {shape: [4, 8]}
blocks:
  add_table:
    parameters: {table: {type: list}}
    inputs: [x]
    layers:
      table: {op: parameter, shape: [4, 8], initialize: {weight: {values: "${table}"}}}
      sum: {op: add, inputs: [x, table]}
layers:
  a: {block: add_table, table: [1, 2, 3, 4, 5, 6, 7, 8]}
  b: {block: add_table, table: [8, 7, 6, 5, 4, 3, 2, 1]}
""")
    graph = load_graph(path)
    torch, keras = (str(find_backend(name).lower(graph).content) for name in ("torch", "keras"))
    assert "def __init__(self, data: tuple[float, ...]) -> None:" in torch
    assert "nn.Parameter(torch.tile(torch.tensor(data), (1, 4, 1)))" in torch
    assert "value: tuple[tuple[float, ...]]," in keras
    assert "initializer=keras.initializers.Constant(value)" in keras
