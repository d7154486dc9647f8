"""Instances of a block that differ in a layer without state share one class, which chooses the layer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from netspec_torch import BACKEND

from netspec import reference
from netspec.graph import Graph
from netspec.spec import load_graph
from netspec.verify.cases import check_weights_of
from tests.backends.torch.emitted import check_values, classes_of

CHOICES = """name: choices
input: {shape: [4, 6, 6]}
blocks:
  unit:
    parameters: {filters: {type: integer}, act: relu, norm: false, pool: true}
    layers:
      conv: {op: conv2d, filters: "${filters}", kernel_size: 1}
      bn: {op: batch_norm, when: "${norm}"}
      relu: {op: relu, when: "${act == 'relu'}"}
      soft: {op: leaky_relu, negative_slope: 0.25, when: "${act == 'soft'}"}
      tanh: {op: tanh, when: "${act == 'tanh'}"}
      max: {op: max_pool2d, kernel_size: 2, stride: 1, when: "${pool}"}
      mean: {op: avg_pool2d, kernel_size: 2, stride: 1, when: "${not pool}"}
layers:
"""


def spec(folder: Path, *uses: str) -> Graph:
    path = folder / "spec.yaml"
    path.write_text(CHOICES + "".join(f"  u{i}: {{block: unit, {use}}}\n" for i, use in enumerate(uses)))
    return load_graph(path)


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
def test_two_activations_share_a_class(tmp_path: Path) -> None:
    graph = spec(tmp_path, "filters: 8", "filters: 4, act: soft", "filters: 8, norm: true")
    classes = classes_of(graph)
    assert list(classes) == ["Unit", "Choices"]
    chosen = '        x = F.relu(x) if self.act == "relu" else F.leaky_relu(x, negative_slope=0.25)\n'
    assert chosen in classes["Unit"], "by the parameter of the spec"
    assert 'self, in_channels: int, filters: int, act: str = "relu", norm: bool = False\n' in classes["Unit"]
    assert "self.bn = nn.BatchNorm2d(filters) if norm else nn.Identity()\n" in classes["Unit"]
    check_values(graph)
    model = BACKEND.load(BACKEND.lower(graph), check_weights_of(graph)).native
    x = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(torch.jit.script(model)(x), model(x))


def test_more_than_two_activations_share_a_class(tmp_path: Path) -> None:
    graph = spec(tmp_path, "filters: 8", "filters: 4, act: tanh", "filters: 3, act: soft", "filters: 3, act: none")
    classes = classes_of(graph)
    assert list(classes) == ["Unit", "Choices"]
    for line in ('if self.act == "relu"\n', 'if self.act == "tanh"\n', 'if self.act == "soft"\n', "else x\n"):
        assert line in classes["Unit"]
    check_values(graph)


def test_instances_may_differ_in_two_places(tmp_path: Path) -> None:
    graph = spec(tmp_path, "filters: 8", "filters: 4, act: tanh, norm: true", "filters: 2, act: tanh, norm: true")
    assert list(classes_of(graph)) == ["Unit", "Choices"]
    check_values(graph)


def test_submodules_are_not_chosen_in_forward(tmp_path: Path) -> None:
    graph = spec(tmp_path, "filters: 8", "filters: 4, pool: false", "filters: 2, pool: false")
    classes = classes_of(graph)
    assert list(classes) == ["Unit", "Choices"]
    assert "        x = self.max(x)\n        x = self.mean(x)\n" in classes["Unit"], "one of them is an identity"
    check_values(graph)


ORDERS = """name: orders
input: {shape: [2, 3, 4]}
blocks:
  grid:
    parameters: {order: {type: list}, by: 0, wide: false}
    layers:
      moved: {op: permute, axes: "${order}"}
      rolled: {op: roll, axes: [1, 2], shifts: ["${by}", 1]}
      flat: {op: reshape, shape: ["${12 if wide else 6}", "${2 if wide else 4}"]}
  pair:
    parameters: {one: {type: integer}, other: {type: integer}}
    layers:
      moved: {op: permute, axes: ["${one}", 3, "${other}"]}
      again: {op: permute, axes: ["${other}", "${one}", 3]}
layers:
  a: {block: grid, order: [3, 1, 2], by: 1}
  b: {block: grid, inputs: input, order: [1, 3, 2], wide: true}
  c: {block: pair, inputs: input, one: 1, other: 2}
  d: {block: pair, inputs: input, one: 2, other: 1}
outputs: [a, b, c, d]
"""


def test_an_order_of_axes_becomes_a_tuple_argument(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(ORDERS)
    graph = load_graph(path)
    classes = classes_of(graph)
    assert list(classes) == ["Grid", "Pair", "Orders"]
    assert "        self, dims: tuple[int, int, int, int], by: int = 0, wide: bool = False\n" in classes["Grid"]
    assert "        x = x.permute(self.dims)\n        x = x.roll((self.by, 1), (1, 2))\n" in classes["Grid"]
    assert "x = x.reshape(-1, 12 if self.wide else 6, 2 if self.wide else 4)\n" in classes["Grid"]
    assert "x = x.permute(0, self.one, 3, self.other)\n" in classes["Pair"]
    assert "self.a = Grid((0, 3, 1, 2), by=1)\n" in classes["Orders"]
    model = BACKEND.load(BACKEND.lower(graph), {}).native
    x = torch.randn(2, 2, 3, 4, generator=torch.Generator().manual_seed(0))
    for ours, theirs in zip(torch.jit.script(model)(x), model(x), strict=True):
        torch.testing.assert_close(ours, theirs)
    expected = reference.evaluate(graph, {}, {"input": x.numpy()})
    for name, value in zip(graph.outputs, model(x), strict=True):
        np.testing.assert_array_equal(value.numpy(), expected[name])


def test_the_zoo_has_one_class_per_block() -> None:
    for name in ("small", "large"):
        classes = classes_of(load_graph(f"specs/mobilenet-v3-{name}.yaml"))
        assert list(classes)[:-1] == ["ConvBn", "SqueezeExcitation", "Bottleneck", "Residual"]
        assert "        x = F.hardswish(x) if self.swish else F.relu(x)\n" in classes["ConvBn"]
    assert "self.block2 = Bottleneck(16, 64, 24, stride=2, swish=False)\n" in classes["MobilenetV3Large"]
