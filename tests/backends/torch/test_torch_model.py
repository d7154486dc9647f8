"""Loaded torch models: ownership of memory, device and dtype of tensors, and what training updates."""

import cProfile
import dataclasses
import pstats
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from netspec_torch import BACKEND
from netspec_torch.model import TorchModel

from netspec.errors import BackendError, WeightsError
from netspec.graph import Graph
from netspec.lowering import Artifact, find_backend
from netspec.testing.networks import Chain
from netspec.types import DType

RANDOM = np.random.default_rng(5)


def network(**batch_norm: object) -> Graph:
    chain = Chain("net", image=(3, 4, 5)).add("conv", "conv2d", filters=4, kernel_size=3)
    return chain.add("norm", "batch_norm", **batch_norm).add("flatten", "flatten").add("fc", "dense", units=2).graph()


def weights_of(graph: Graph) -> dict[str, np.ndarray]:
    return {name: RANDOM.uniform(0.5, 2, w.shape).astype(graph.dtype.numpy) for name, w in graph.weights.items()}


def load(graph: Graph, weights: dict[str, np.ndarray]) -> TorchModel:
    model = BACKEND.load(BACKEND.lower(graph), weights)
    assert isinstance(model, TorchModel)
    return model


def test_training_leaves_the_callers_arrays_alone() -> None:
    graph = network()
    weights = weights_of(graph)
    before = {name: array.copy() for name, array in weights.items()}
    for array in weights.values():
        array.setflags(write=False)
    model = load(graph, weights)
    image = np.ones((2, 3, 4, 5), np.float32)
    optimizer = torch.optim.SGD(model.native.parameters(), lr=1.0)
    model.native.train()
    model.native(torch.from_numpy(image)).sum().backward()
    optimizer.step()
    assert all(np.array_equal(weights[name], before[name]) for name in weights)
    assert all(not np.array_equal(array, before[name]) for name, array in model.weights().items() if "fc" in name)


def test_weights_are_copies() -> None:
    graph = network()
    model = load(graph, weights_of(graph))
    first = model.weights()
    for array in first.values():
        array[...] = 0
    assert all(array.all() for array in model.weights().values())


@pytest.mark.parametrize("dtype", DType)
@pytest.mark.parametrize("running_variance", ["biased", "unbiased"])
def test_all_tensors_are_real_and_of_the_dtype(dtype: DType, running_variance: str) -> None:
    graph = network(running_variance=running_variance).astype(dtype)
    native = load(graph, weights_of(graph)).native
    assert not native.training
    assert all(p.requires_grad and p.device.type == "cpu" for p in native.parameters())
    assert {p.dtype for p in native.parameters()} == {getattr(torch, dtype.value)}
    for path, buffer in native.named_buffers():
        assert buffer.device.type == "cpu"
        assert buffer.dtype == (torch.int64 if path.endswith("num_batches_tracked") else getattr(torch, dtype.value))
        assert not buffer.requires_grad


def test_no_weight_is_drawn_at_random() -> None:
    graph = network()
    state = torch.random.get_rng_state()
    load(graph, weights_of(graph))
    assert torch.equal(torch.random.get_rng_state(), state)


LOAD = """
import sys
from netspec_torch import BACKEND
from netspec.testing.networks import Chain
graph = Chain("tokens", image=(4, 5)).add("token", "parameter", reads=(), shape=[1, 5],
    initialize={"weight": {"normal": {"std": 0.02}}}).add("all", "concat", reads=("image", "token"), axis=1).graph()
BACKEND.load(BACKEND.lower(graph), {"token.weight": __import__("numpy").ones((1, 5), "float32")})
assert "normal_" in BACKEND.lower(graph).content
assert not {"torch._dynamo", "torch._inductor"} & sys.modules.keys()
"""


def test_loading_does_not_import_the_compiler() -> None:
    subprocess.run([sys.executable, "-c", LOAD], check=True)


def test_an_output_is_never_the_callers_input() -> None:
    graph = Chain("net", image=(3,)).add("same", "identity").graph("image", "same")
    image = np.ones((2, 3), np.float32)
    for outputs in (load(graph, {}).forward({"image": image}), load(graph, {}).forward_training({"image": image})):
        assert not any(np.shares_memory(array, image) for array in outputs.values())


def test_weights_that_do_not_fit_are_named() -> None:
    graph = network()
    weights = weights_of(graph)
    weights["conv.other"] = weights.pop("conv.bias")
    weights["fc.bias"] = np.zeros(3, np.float32)
    with pytest.raises(WeightsError, match=r"(?s)missing: conv\.bias.*unexpected: conv\.other.*fc\.bias: expected"):
        load(graph, weights)


def test_tensors_left_on_the_meta_device_are_an_error() -> None:
    graph = network()
    artifact = BACKEND.lower(graph)
    content = str(artifact.content).replace(
        "        super().__init__()\n",
        '        super().__init__()\n        self.register_buffer("mask", torch.ones(2), persistent=False)\n'
        "        self.scale = nn.Parameter(torch.ones(2))\n",
    )
    broken = dataclasses.replace(artifact, content="import torch\n" + content)
    assert isinstance(broken, Artifact)
    with pytest.raises(BackendError, match="scale, mask"):
        BACKEND.load(broken, weights_of(graph))


def test_paths_and_shapes_on_which_source_and_bindings_disagree_are_named() -> None:
    graph = network()
    artifact = BACKEND.lower(graph)
    content = str(artifact.content)
    broken = content.replace("self.conv", "self.other").replace("nn.Linear(24, 2)", "nn.Linear(24, 2, bias=False)")
    missing, unexpected = "other.weight, other.bias", "conv.weight, conv.bias, fc.bias"
    with pytest.raises(BackendError, match=f"Net: emitted source and bindings disagree on {missing}, {unexpected}$"):
        BACKEND.load(dataclasses.replace(artifact, content=broken), weights_of(graph))
    broken = content.replace("nn.Linear(24, 2)", "nn.Linear(24, 3)")
    with pytest.raises(
        BackendError, match=r"disagree on fc\.weight \(shape \(3, 24\) in the source, \(2, 24\) in the bind"
    ):
        BACKEND.load(dataclasses.replace(artifact, content=broken), weights_of(graph))


def test_frozen_parameters_stay_frozen_and_counters_begin_at_zero() -> None:
    graph = network()
    artifact = BACKEND.lower(graph)
    frozen = str(artifact.content).replace(
        "    def forward", "        self.conv.weight.requires_grad_(False)\n\n    def forward", 1
    )
    native = BACKEND.load(dataclasses.replace(artifact, content=frozen), weights_of(graph)).native
    assert {name: p.requires_grad for name, p in native.named_parameters()} == {
        **{name: True for name in native.state_dict() if name.endswith((".bias", "norm.weight", "fc.weight"))},
        "conv.weight": False,
    }
    assert native.norm.num_batches_tracked.item() == 0


def test_the_cost_of_loading_is_linear_in_the_depth() -> None:
    """Function calls are counted. torch's `load_state_dict` is quadratic: it compares every path with every module."""
    calls = []
    for depth in (20, 80):
        chain = Chain("net", image=(2,))
        for index in range(depth):
            chain.add(f"fc{index}", "dense", units=2)
        graph = chain.graph()
        artifact, weights = BACKEND.lower(graph), weights_of(graph)
        profiler = cProfile.Profile()
        profiler.runcall(BACKEND.load, artifact, weights)
        calls.append(pstats.Stats(profiler).total_calls)  # type: ignore[attr-defined] # typeshed lacks it
    assert calls[1] < 4.5 * calls[0]


def test_cotangents_are_those_of_the_outputs() -> None:
    graph = network()
    with pytest.raises(BackendError, match="expected cotangents of fc, received y"):
        load(graph, weights_of(graph)).gradients({"image": np.ones((1, 3, 4, 5))}, {"y": np.ones((1, 2))})


@pytest.mark.parametrize("name", ["torch", "keras"])
@pytest.mark.parametrize("shape", [(1, 2), (2, 1), (2,), ()])
def test_cotangents_have_the_shapes_of_the_outputs(name: str, shape: tuple[int, ...]) -> None:
    """An array that could be broadcast would give other derivatives than those that were asked for."""
    graph = network()
    model = find_backend(name).load(find_backend(name).lower(graph), weights_of(graph))
    with pytest.raises(BackendError, match=re.escape(f"cotangent of fc: expected (2, 2), received {shape}")):
        model.gradients({"image": np.ones((2, 3, 4, 5))}, {"fc": np.ones(shape)})


@pytest.mark.parametrize("shape", [(6,), (3, 5), (3, 4, 5), (2, 2, 3, 2), (2, 2, 2, 2, 2)])
@pytest.mark.parametrize("running_variance", ["biased", "unbiased"])
@pytest.mark.parametrize("update_rate", [0.1, 0.3, 1.0])
def test_batch_norm_updates_its_statistics(shape: tuple[int, ...], running_variance: str, update_rate: float) -> None:
    chain = Chain("net", x0=(int(np.prod(shape)),)).add("x1", "reshape", shape=shape)
    chain.add("norm", "batch_norm", running_variance=running_variance, update_rate=update_rate)
    graph = chain.graph().astype(DType.FLOAT64)
    weights = weights_of(graph)
    model = load(graph, weights)
    op = graph.nodes[-1].op
    expected = {name.removeprefix("norm."): array for name, array in weights.items()}
    for _ in range(3):
        x = RANDOM.normal(2, 3, size=(2, int(np.prod(shape))))
        result = op.reference_training(expected, x.reshape(2, *shape))
        expected |= result.updates
        np.testing.assert_allclose(model.forward_training({"x0": x})["norm"], result.output, rtol=1e-11, atol=1e-12)
    for name, array in model.weights().items():
        np.testing.assert_allclose(array, expected[name.removeprefix("norm.")], rtol=1e-13)
    assert not model.native.training


def test_biased_batch_norm_differentiates_in_training() -> None:
    """Its gradient is that of PyTorch. Updating the running variance before the backward pass does not affect it."""
    gradients = []
    for running_variance in ("biased", "unbiased"):
        graph = Chain("net", image=(3, 4, 5)).add("norm", "batch_norm", running_variance=running_variance).graph()
        weights = {name: np.linspace(0.5, 2, 3, dtype=np.float32) for name in graph.weights}
        native = load(graph, weights).native.train()
        x = torch.linspace(-3, 5, 120).reshape(2, 3, 4, 5).requires_grad_()
        first, second = native(x), native(2 * x)
        (first.pow(3).sum() + second.exp().sum()).backward()
        gradients.append((x.grad, *(p.grad for p in native.parameters())))
    for biased, unbiased in zip(*gradients, strict=True):
        torch.testing.assert_close(biased, unbiased, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("running_variance", ["biased", "unbiased"])
def test_an_empty_batch_does_not_update_statistics(running_variance: str) -> None:
    graph = Chain("net", image=(3, 4, 5)).add("norm", "batch_norm", running_variance=running_variance).graph()
    weights = weights_of(graph)
    model = load(graph, weights)
    module = model.native.train()  # as the trainer calls it, in a process that has no samples of a batch
    assert module(torch.zeros(0, 3, 4, 5)).shape == (0, 3, 4, 5)
    for name, array in model.weights().items():
        np.testing.assert_array_equal(array, weights[name])


@pytest.mark.parametrize(("mode", "kept"), [("inverted", 4.0), ("standard", 1.0)])
def test_dropout_scales_as_its_mode_says(mode: str, kept: float) -> None:
    graph = Chain("net", image=(1000,)).add("drop", "dropout", rate=0.75, mode=mode).graph()
    model = load(graph, {})
    ones = {"image": np.ones((8, 1000))}
    torch.manual_seed(0)
    dropped = model.forward_training(ones)["drop"]
    assert set(np.unique(dropped)) == {0.0, kept}
    assert abs((dropped == 0).mean() - 0.75) < 0.03
    assert (model.forward(ones)["drop"] == (1.0 if mode == "inverted" else 0.25)).all()


def test_grouped_linear_starts_as_linear_does() -> None:
    graph = Chain("net", image=(400,)).add("fc", "dense", units=60, groups=4).graph()
    layer = type(load(graph, weights_of(graph)).native)().fc
    for parameter in layer.parameters():
        assert 0.08 < parameter.abs().max() <= 0.1
