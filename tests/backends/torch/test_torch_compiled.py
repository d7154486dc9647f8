"""Ahead-of-time compilation: the layouts of weights, which do not change results at any batch size."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from netspec_torch import packing
from netspec_torch.packing import PackWeights
from torch import fx

from netspec import api
from netspec.lowering import find_backend
from netspec.verify.cases import check_weights_of

SPEC = """\
name: layouts
input: {shape: [6, 11, 10]}
layers:
  plain: {op: conv2d, filters: 8, kernel_size: 3, stride: 2}
  relu: {op: relu}
  grouped: {op: conv2d, filters: 8, kernel_size: 3, padding: 1, groups: 2}
  depthwise: {op: conv2d, filters: 8, kernel_size: 3, padding: 1, groups: 8, bias: false}
  up: {op: conv_transpose2d, filters: 4, kernel_size: 2, stride: 2}
  rows: {op: reshape, shape: [16, 20]}
  tokens: {op: dense, units: 12}
  flatten: {op: flatten}
  hidden: {op: dense, units: 7, bias: false}
  out: {op: dense, units: 3}
"""
ROWS = ("tokens", "hidden", "out")


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "layouts.yaml"
    path.write_text(SPEC)
    return path


@pytest.fixture
def layouts(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[bool]]:
    """Whether the weights of each kind of node have a packed layout, before and after the pass."""
    packed: dict[str, list[bool]] = {}
    call = PackWeights.__call__

    def watched(self: PackWeights, graph: fx.Graph) -> None:
        for when in ("before", "after"):
            if when == "after":
                call(self, graph)
            for node in graph.nodes:
                if node.op == "call_function" and "_pointwise" in str(node.target):
                    weight = packing._constant(node.args[1])
                    packed.setdefault(f"{node.target.name().partition('::')[2]} {when}", []).append(weight.is_mkldnn)

    monkeypatch.setattr(PackWeights, "__call__", watched)
    return packed


def test_weights_are_packed_once_and_results_agree_at_any_batch_size(
    spec: Path, layouts: dict[str, list[bool]]
) -> None:
    graph = api.load(spec).graph
    weights = check_weights_of(graph)
    backend = find_backend("torch").with_options(compile=True)
    compiled, plain = (b.load(b.lower(graph), weights) for b in (backend, find_backend("torch")))
    convolutions = layouts["_convolution_pointwise after"]
    assert not any(layouts["_convolution_pointwise before"])  # if this fails, Inductor packs, and the pass can go
    assert len(convolutions) == 3
    assert all(convolutions)
    assert layouts["_linear_pointwise after"] == [True] * len(ROWS)
    for batch in (1, 2, 5, 16):
        images = {"input": np.random.default_rng(batch).standard_normal((batch, 6, 11, 10)).astype(np.float32)}
        (expected,), (received,) = plain.forward(images).values(), compiled.forward(images).values()
        np.testing.assert_allclose(received, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


def test_only_layers_with_one_row_per_sample_are_packed_for_one_row(
    spec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = []

    def watched(user: fx.Node, weight: fx.Node, op: Any, plain: torch.Tensor, arguments: tuple[Any, ...]) -> None:
        replace(user, weight, op, plain, arguments)
        if op is torch.ops.mkldnn._reorder_linear_weight.default:
            packed.append((*plain.shape, *arguments))

    replace = packing._replace
    monkeypatch.setattr(packing, "_replace", watched)
    graph = api.load(spec).graph
    backend = find_backend("torch").with_options(compile=True)
    backend.load(backend.lower(graph), check_weights_of(graph))
    assert packed == [(7, 192, 1), (3, 7, 1)]
