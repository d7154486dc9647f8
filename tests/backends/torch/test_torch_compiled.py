"""Ahead-of-time compilation: the layouts of weights, which do not change results at any batch size."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from netspec_torch import packing
from netspec_torch.packing import PackWeights
from torch import fx

from netspec import api
from netspec.errors import BackendError
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
EITHER_LAYOUT = """\
name: either_layout
input: {shape: [1, 9, 8]}
layers:
  gray: {op: conv2d, filters: 4, kernel_size: 3, padding: 1}
  relu: {op: relu}
  narrow: {op: conv2d, filters: 1, kernel_size: 3, padding: 1}
  tanh: {op: tanh}
  wide: {op: conv2d, filters: 6, kernel_size: 3}
  pixel: {op: avg_pool2d, kernel_size: {height: 7, width: 6}}
  squeeze: {op: conv2d, filters: 3, kernel_size: 1}
  spread: {op: conv2d, filters: 5, kernel_size: 3, padding: 2}
  last: {op: conv2d, filters: 3, kernel_size: 2}
outputs: [gray, wide, spread, last]
"""
TOKENS = """\
name: tokens
input: {shape: [5, 12]}
layers:
  attention: {op: multi_head_attention, heads: 3}
  norm: {op: layer_norm}
  wide: {op: dense, units: 40}
  gelu: {op: gelu}
  narrow: {op: dense, units: 12}
  sum: {op: add, inputs: [narrow, norm]}
  flatten: {op: flatten}
  out: {op: dense, units: 3}
outputs: [attention, out]
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
    folder = tmp_path_factory.mktemp("compiled")
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
        models = compiled_and_plain(SPEC, folder)
    return Compiled(models, layouts, rows)


def compiled_and_plain(spec: str, folder: Path, **options: object) -> tuple[Model, Model]:
    path = folder / "spec.yaml"
    path.write_text(spec)
    graph = api.load(path).graph
    weights = check_weights_of(graph)
    backend = find_backend("torch").with_options(compile=True, **options)
    compiled, plain = (b.load(b.lower(graph), weights) for b in (backend, find_backend("torch")))
    return compiled, plain


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
    require_equal_outputs(compiled.models, (batch, 6, 11, 10))


def test_maps_of_one_channel_or_one_pixel_are_read_in_the_order_in_which_they_are_written(tmp_path: Path) -> None:
    models = compiled_and_plain(EITHER_LAYOUT, tmp_path)
    for batch in (1, 2, 17):
        require_equal_outputs(models, (batch, 1, 9, 8))


@pytest.mark.parametrize(
    ("spec", "size"), [(SPEC, 1), (EITHER_LAYOUT, 1), (TOKENS, 3)], ids=["layouts", "either layout", "tokens"]
)
def test_a_model_for_batches_of_one_size_is_the_plain_one(spec: str, size: int, tmp_path: Path) -> None:
    compiled, plain = compiled_and_plain(spec, tmp_path, batch_size=size)
    (value,) = plain.artifact.graph.inputs
    image = torch.zeros(value.type.concrete(size))
    outputs = compiled.native(image)
    assert {len(output) for output in (outputs if isinstance(outputs, list | tuple) else [outputs])} == {size}
    for batch in (1, 3, 7):  # of which it makes batches of that size
        require_equal_outputs((compiled, plain), value.type.concrete(batch))


def test_a_batch_of_one_size_is_of_a_compiled_model() -> None:
    torch_backend = find_backend("torch")
    with pytest.raises(BackendError, match="batch_size is of a compiled model"):
        torch_backend.with_options(batch_size=4)
    with pytest.raises(BackendError, match="batch_size: expected 1 or more, received 0"):
        torch_backend.with_options(compile=True, batch_size=0)
    with pytest.raises(BackendError, match="no option 'size'; it has compile and batch_size"):
        torch_backend.with_options(size=1)
    assert torch_backend.with_options(compile=True, batch_size=4).with_options(batch_size=None).batch_size is None


def require_equal_outputs(models: tuple[Model, Model], shape: tuple[int, ...]) -> None:
    images = {"input": np.random.default_rng(shape[0]).standard_normal(shape).astype(np.float32)}
    received, expected = (model.forward(images) for model in models)
    for name, values in expected.items():
        np.testing.assert_allclose(received[name], values, rtol=0, atol=1e-6 * np.abs(values).max(), err_msg=name)
