"""Ahead-of-time compilation: the layouts of weights, which do not change results at any batch size."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from netspec_torch import packing
from netspec_torch.packing import PackWeights
from torch import fx

from netspec import api
from netspec.lowering import Model, find_backend
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


@dataclass(frozen=True)
class Compiled:
    """What the compilation of the network yields and does. Compiling C++ takes so long that it is done once.

    Attributes:
        models: the compiled model and the plain one, with the same weights.
        layouts: whether the weights of each kind of node have a packed layout, before and after the pass.
        rows: for each dense layer that the pass packs, the shape of its weight and for how many rows it packs it.
    """

    models: tuple[Model, Model]
    layouts: dict[str, list[bool]]
    rows: list[tuple[Any, ...]]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    path = tmp_path_factory.mktemp("compiled") / "layouts.yaml"
    path.write_text(SPEC)
    graph = api.load(path).graph
    weights = check_weights_of(graph)
    layouts: dict[str, list[bool]] = {}
    rows: list[tuple[Any, ...]] = []
    call, replace = PackWeights.__call__, packing._replace

    def watched(self: PackWeights, graph: fx.Graph) -> None:
        for when in ("before", "after"):
            if when == "after":
                call(self, graph)
            for node in graph.nodes:
                if node.op == "call_function" and "_pointwise" in str(node.target):
                    weight = packing._constant(node.args[1])
                    layouts.setdefault(f"{node.target.name().partition('::')[2]} {when}", []).append(weight.is_mkldnn)

    def replaced(user: fx.Node, weight: fx.Node, op: Any, plain: torch.Tensor, arguments: tuple[Any, ...]) -> None:
        replace(user, weight, op, plain, arguments)
        if op is torch.ops.mkldnn._reorder_linear_weight.default:
            rows.append((*plain.shape, *arguments))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PackWeights, "__call__", watched)
        patch.setattr(packing, "_replace", replaced)
        backend = find_backend("torch").with_options(compile=True)
        compiled, plain = (b.load(b.lower(graph), weights) for b in (backend, find_backend("torch")))
    return Compiled((compiled, plain), layouts, rows)


def test_weights_are_packed_once(compiled: Compiled) -> None:
    convolutions = compiled.layouts["_convolution_pointwise after"]
    assert not any(compiled.layouts["_convolution_pointwise before"])  # if not so, Inductor packs, and the pass can go
    assert len(convolutions) == 3
    assert all(convolutions)
    assert compiled.layouts["_linear_pointwise after"] == [True] * len(ROWS)


def test_only_layers_with_one_row_per_sample_are_packed_for_one_row(compiled: Compiled) -> None:
    assert compiled.rows == [(7, 192, 1), (3, 7, 1)]


@pytest.mark.parametrize("batch", [1, 2, 5, 16])
def test_results_agree_at_any_batch_size(compiled: Compiled, batch: int) -> None:
    images = {"input": np.random.default_rng(batch).standard_normal((batch, 6, 11, 10)).astype(np.float32)}
    (received,), (expected,) = (model.forward(images).values() for model in compiled.models)
    np.testing.assert_allclose(received, expected, rtol=0, atol=1e-6 * np.abs(expected).max())
