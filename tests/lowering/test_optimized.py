"""A backend at a level of optimization is a backend, and passes the same conformance suite as the plain one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from safetensors.numpy import load_file

from netspec.build import write_build
from netspec.errors import BackendError
from netspec.graph import Graph
from netspec.lowering import Artifact, Backend, OptimizedBackend, at_level, find_backend
from netspec.passes import Level, Optimized, optimize
from netspec.testing.cases import SampleCase
from netspec.testing.conformance import CASES, BackendConformance, by_network
from netspec.testing.networks import NETWORKS, Chain, towers
from netspec.testing.pass_networks import dropped, normalized, padded, pooled
from netspec.types import DType
from netspec.verify import verify
from netspec.verify.cases import check_weights_of

TORCH, ONNX = find_backend("torch"), find_backend("onnx")
TORCH_IN_TRAINING = OptimizedBackend(TORCH, "training")
TORCH_AT_INFERENCE = OptimizedBackend(TORCH, "inference")
ONNX_AT_INFERENCE = OptimizedBackend(ONNX, "inference")


# The ops that a backend lowers to another model than the plain one does, in some samples.
CHANGED_IN_TRAINING = {"conv2d"}
CHANGED_AT_INFERENCE = {"conv2d", "local_response_norm"}


def is_changed(optimized: Artifact, plain: Artifact) -> bool:
    """Whether another model is executed than that of the plain backend."""
    return optimized.bindings != plain.bindings or _executed(optimized) != _executed(plain)


def _executed(artifact: Artifact) -> object:
    """Return the emitted artifact without its description of the spec."""
    if isinstance(artifact.content, str):
        return artifact.content
    return onnx.ModelProto.FromString(artifact.content).graph


def changed(backend: OptimizedBackend, kinds: set[str]) -> list[SampleCase]:
    """Return the samples of these ops that become another model."""
    cases = [case for case in CASES if case.sample.op.kind in kinds]
    return [case for case in cases if is_changed(backend.lower(case.graph), backend.backend.lower(case.graph))]


class OptimizedConformance(BackendConformance):
    """The suite, which compares node by node only the values that the rewritten graph still has."""

    @by_network
    def test_networks(self, network: str) -> None:
        check_network(self.backend, network)


class TestTorchInTraining(OptimizedConformance):
    backend = TORCH_IN_TRAINING
    cases = changed(backend, CHANGED_IN_TRAINING)


class TestTorchAtInference(OptimizedConformance):
    backend = TORCH_AT_INFERENCE
    cases = changed(backend, CHANGED_AT_INFERENCE)


@by_network
def test_networks_of_onnx_at_inference(network: str) -> None:
    check_network(ONNX_AT_INFERENCE, network)


def check_network(backend: Backend, network: str) -> None:
    graph = NETWORKS[network]()
    report = verify(graph, [backend], "forward", deep=True)
    report.require()
    assert not report.divergences
    assert {row.node for row in report.nodes} == set(backend.lower_nodes(graph.with_outputs(graph.outputs))[1])


@pytest.mark.parametrize(
    ("backend", "kinds"),
    [
        (TORCH_IN_TRAINING, CHANGED_IN_TRAINING),
        (TORCH_AT_INFERENCE, CHANGED_AT_INFERENCE),
        (ONNX_AT_INFERENCE, set()),
    ],
    ids=["torch in training", "torch at inference", "onnx at inference"],
)
def test_all_other_ops_are_lowered_as_by_the_plain_backend(backend: OptimizedBackend, kinds: set[str]) -> None:
    """Their model and weights are those of the plain backend, which `tests/backends/` compares with the reference."""
    assert {case.sample.op.kind for case in changed(backend, kinds)} == kinds
    for case in CASES:
        if case.sample.op.kind not in kinds and type(case.sample.op) not in backend.lowerings.unsupported:
            artifacts = [b.lower(case.graph) for b in (backend, backend.backend)]
            assert not is_changed(*artifacts), case
            weights = case.weights()
            own, plain = (artifact.to_native(weights) for artifact in artifacts)
            assert own.keys() == plain.keys()
            for name, array in own.items():
                np.testing.assert_array_equal(array, plain[name])


@pytest.mark.parametrize("build", [normalized, dropped, pooled, padded])
@pytest.mark.parametrize("level", ["training", "inference"])
@pytest.mark.parametrize("name", ["torch", "keras", "onnx"])
def test_what_passes_change_is_verified_by_each_backend(name: str, level: Level, build: Callable[[], Graph]) -> None:
    report = verify(build(), [at_level(find_backend(name), level)], "forward", deep=True)
    report.require()
    assert not report.divergences


def test_no_level_is_the_backend_itself() -> None:
    torch = find_backend("torch")
    assert at_level(torch, "none") is torch


def test_passes_that_a_backend_excludes_are_not_run() -> None:
    for name in ("torch", "keras", "onnx"):
        backend = find_backend(name)
        made = {step.name for step in OptimizedBackend(backend, "training").optimize(towers()).steps}
        every = {step.name for step in optimize(towers(), "training").steps}
        assert made == every - set(backend.costly_passes)


def test_options_reach_the_backend() -> None:
    onnx = at_level(find_backend("onnx"), "inference").with_options(opset=20)
    content = onnx.lower(normalized()).content
    assert isinstance(onnx, OptimizedBackend)
    assert content != at_level(find_backend("onnx"), "inference").lower(normalized()).content


@pytest.mark.parametrize("name", ["torch", "onnx"])
def test_a_backend_for_inference_has_no_gradients_and_no_training(name: str) -> None:
    backend, graph = at_level(find_backend(name), "inference"), normalized()
    assert not backend.trains
    model = backend.load(backend.lower(graph), check_weights_of(graph))
    inputs = {"image": np.ones((2, 4, 5, 6), np.float32)}
    with pytest.raises(BackendError, match="normalized is optimized for inference: no gradients"):
        model.gradients(inputs, {"act": np.ones((2, 5))})
    with pytest.raises(BackendError, match="normalized is optimized for inference: no training mode"):
        model.forward_training(inputs)
    with pytest.raises(BackendError, match="normalized is optimized for inference, and cannot be trained"):
        backend.trainer(graph, check_weights_of(graph), None)  # type: ignore[arg-type] # refused before it is read


def test_the_weights_of_a_model_are_those_of_the_rewritten_graph() -> None:
    backend, graph = at_level(find_backend("torch"), "inference"), normalized()
    weights = check_weights_of(graph)
    model = backend.load(backend.lower(graph.astype(DType.FLOAT64)), weights)
    expected = optimize(graph, "inference").weights(weights)
    found = model.weights()
    assert list(found) == list(expected) == ["conv.weight", "conv.bias", "fc.weight", "fc.bias"]
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)


def test_loading_leaves_the_callers_weights_as_they_are() -> None:
    backend, graph = at_level(find_backend("torch"), "training"), normalized()
    weights = check_weights_of(graph)
    before = {name: array.copy() for name, array in weights.items()}
    model = backend.load(backend.lower(graph), weights)
    for parameter in model.native.parameters():
        parameter.data.zero_()
    for name, array in before.items():
        np.testing.assert_array_equal(weights[name], array)


def test_the_weights_of_a_build_are_those_of_the_rewritten_graph(tmp_path: Path) -> None:
    graph = normalized()
    weights = check_weights_of(graph)
    write_build(graph, [find_backend("torch")], weights, tmp_path, "inference")
    expected = optimize(graph, "inference").weights(weights)
    found = load_file(tmp_path / "normalized.safetensors")
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array.astype(np.float32))


def test_a_build_runs_the_passes_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    initialize = Optimized.__init__

    def count(self: Optimized, *given: Any, **named: Any) -> None:
        made.append(self)
        initialize(self, *given, **named)

    graph = normalized()
    weights = check_weights_of(graph)
    monkeypatch.setattr(Optimized, "__init__", count)
    write_build(graph, [find_backend("torch")], weights, tmp_path, "inference")
    assert len(made) == 1


@pytest.mark.parametrize("build", [normalized, dropped, pooled, padded, towers])
def test_passes_change_weights_in_the_same_way_for_every_backend(build: Callable[[], Graph]) -> None:
    """A build has one weights file for all of them."""
    graph = build()
    for name in ("torch", "keras", "onnx"):
        backend = OptimizedBackend(find_backend(name), "inference")
        assert backend.optimize(graph).folds == optimize(graph, "inference").folds


def test_every_value_of_a_deep_network_is_listed_by_its_plain_name() -> None:
    graph = _deep(300)
    artifact, shown = at_level(find_backend("torch"), "inference").lower_nodes(graph)
    assert len(shown) == len(artifact.graph.outputs) == 601
    assert shown["conv7"] == "norm7"


def _deep(blocks: int) -> Graph:
    chain = Chain("deep", image=(2, 3, 3))
    for i in range(blocks):
        chain.add(f"conv{i}", "conv2d", filters=2, kernel_size=1)
        chain.add(f"norm{i}", "batch_norm").add(f"relu{i}", "relu")
    return chain.add("end", "tanh").graph()
