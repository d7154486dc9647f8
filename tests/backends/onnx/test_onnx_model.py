"""ONNX artifacts and loaded models: determinism, names, bindings, metadata, and unsupported features."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import onnx
import pytest
from netspec_onnx import BACKEND, OnnxBackend
from netspec_onnx.writer import GraphWriter

from netspec import reference
from netspec.errors import BackendError, WeightsError
from netspec.graph import Graph, Input, make_node
from netspec.graph.text import spec_hash
from netspec.ops import OPS
from netspec.ops.base import Array, Weights
from netspec.spec import load_graph
from netspec.testing.networks import NETWORKS
from netspec.types import DType, TensorType
from netspec.weights import initialize

PRINT_DIGEST = """
import hashlib, tempfile
from pathlib import Path
from netspec.testing.networks import NETWORKS
from netspec.weights import initialize
from netspec_onnx import BACKEND
graph = NETWORKS["towers"]()
with tempfile.TemporaryDirectory() as folder:
    (path,) = BACKEND.write(BACKEND.lower(graph), initialize(graph, seed=1), Path(folder))
    print(hashlib.sha256(path.read_bytes()).hexdigest())
"""


def parse(content: str | bytes) -> onnx.ModelProto:
    assert isinstance(content, bytes)
    return onnx.ModelProto.FromString(content)


def test_one_spec_and_seed_give_the_same_bytes_in_every_process() -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-c", PRINT_DIGEST],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1
    assert len(digests.pop().strip()) == hashlib.sha256().digest_size * 2


def test_an_artifact_holds_no_weights(small: Graph) -> None:
    model = parse(BACKEND.lower(small).content)
    assert [value.name for value in model.graph.input] == ["image", *small.weights]
    assert {tensor.name for tensor in model.graph.initializer} == {"fc/split_shape", "fc/joined_shape"}


def test_nodes_and_values_are_named_by_the_spec(small: Graph) -> None:
    graph = parse(BACKEND.lower(small).content).graph
    assert graph.name == "small-net"
    assert [node.name for node in graph.node] == [node.output[0] for node in graph.node]
    assert [n.name for n in graph.node if "/" not in n.name] == ["conv", "flat", "fc"]
    assert all(n.name.startswith("fc/") for n in graph.node if "/" in n.name)


def test_metadata(small: Graph) -> None:
    model = parse(BACKEND.lower(small).content)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert model.producer_name == "netspec"
    assert model.doc_string == metadata["netspec.source"] == "a paper"
    assert metadata["netspec.name"] == "small-net"
    assert metadata["netspec.spec_hash"] == spec_hash(small)
    stored = json.loads(metadata["netspec.preprocessing"])["image"]
    assert stored["mean"] == [120.0, 110.0, 100.0]
    assert stored["resize_shorter_side"] == 12


def test_names_never_clash() -> None:
    """Values may have the names of weights, or those that the backend gives to the steps of another node."""
    x = Input("x", TensorType.of(3, 6))
    dense = make_node("fc", OPS["dense"].model_validate({"units": 4, "groups": 2}), [x])
    nodes = [dense]
    for name in ("fc.weight", "fc/product", "fc.product", "fc/split_shape"):
        nodes.append(make_node(name, OPS["relu"](), [nodes[-1]]))
    graph = Graph("clash", (x,), tuple(nodes), tuple(n.name for n in nodes)).check()
    weights = initialize(graph, seed=1)
    inputs: dict[str, Array] = {"x": np.random.default_rng(0).standard_normal((2, 3, 6)).astype(np.float32)}
    artifact = BACKEND.lower(graph)
    onnx.checker.check_model(parse(artifact.content), full_check=True)
    operators = [operator.name for operator in parse(artifact.content).graph.node]
    assert len(set(operators)) == len(operators)
    assert next(b.path for b in artifact.bindings if b.weight == "fc.weight") == "fc.weight_"
    actual = BACKEND.load(artifact, weights).forward(inputs)
    for name, expected in reference.evaluate(graph, weights, inputs).items():
        np.testing.assert_allclose(actual[name], expected, atol=1e-6 * np.abs(expected).max())


def test_an_input_can_be_an_output(small: Graph, weights: Weights, batch: Array) -> None:
    shown = small.with_outputs(["fc", "image", "conv"])
    outputs = BACKEND.load(BACKEND.lower(shown), weights).forward({"image": batch})
    assert list(outputs) == ["fc", "image", "conv"]
    np.testing.assert_array_equal(outputs["image"], batch)


@pytest.mark.parametrize("size", [1, 3, 7])
def test_the_batch_is_free(small: Graph, weights: Weights, size: int) -> None:
    model = BACKEND.load(BACKEND.lower(small), weights)
    x = np.random.default_rng(size).standard_normal((size, 3, 8, 9)).astype(np.float32)
    (y,) = model.forward({"image": x}).values()
    alone = np.concatenate([model.forward({"image": x[i : i + 1]})["fc"] for i in range(size)])
    assert y.shape == (size, 6)
    np.testing.assert_allclose(y, alone, atol=1e-6 * np.abs(alone).max())


def test_a_model_keeps_its_weights_when_the_caller_changes_theirs(small: Graph, weights: Weights, batch: Array) -> None:
    passed = {name: array.copy() for name, array in weights.items()}
    model = BACKEND.load(BACKEND.lower(small), passed)
    before = model.forward({"image": batch})["fc"]
    for array in passed.values():
        array[...] = 0
    returned = model.weights()
    np.testing.assert_array_equal(model.forward({"image": batch})["fc"], before)
    for name, array in weights.items():
        np.testing.assert_array_equal(returned[name], array)


def test_weights_that_do_not_fit_are_named(small: Graph, weights: Weights) -> None:
    with pytest.raises(WeightsError, match=r"missing: fc\.bias"):
        BACKEND.load(BACKEND.lower(small), {k: v for k, v in weights.items() if k != "fc.bias"})


def test_onnx_only_infers(small: Graph, weights: Weights, batch: Array) -> None:
    model = BACKEND.load(BACKEND.lower(small), weights)
    with pytest.raises(BackendError, match="no training mode"):
        model.forward_training({"image": batch})
    with pytest.raises(BackendError, match="no gradients"):
        model.gradients({"image": batch}, {})


def test_float64_where_onnxruntime_has_the_kernels() -> None:
    """ONNX Runtime has float64 kernels for dense layers; their results are accurate to the last digits."""
    x = Input("x", TensorType.of(5, dtype=DType.FLOAT64))
    fc = make_node("fc", OPS["dense"].model_validate({"units": 4}), [x])
    graph = Graph("double", (x,), (fc, make_node("act", OPS["tanh"](), [fc])), ("act",)).check()
    weights = initialize(graph, seed=0)
    inputs: dict[str, Array] = {"x": np.random.default_rng(0).standard_normal((3, 5))}
    y = BACKEND.load(BACKEND.lower(graph), weights).forward(inputs)["act"]
    assert y.dtype == np.float64
    np.testing.assert_allclose(y, reference.evaluate(graph, weights, inputs)["act"], atol=1e-14)


def test_float64_without_kernels_is_an_error(small: Graph, weights: Weights) -> None:
    artifact = BACKEND.lower(small.astype(DType.FLOAT64))
    with pytest.raises(BackendError, match=r"cannot run small-net in float64.*Conv"):
        BACKEND.load(artifact, weights)


def test_a_network_is_the_same_at_old_and_new_opsets() -> None:
    graph = NETWORKS["towers"]()
    weights = initialize(graph, seed=2)
    x = np.random.default_rng(0).standard_normal((2, 3, 23, 19)).astype(np.float32) * 60
    expected = reference.evaluate(graph, weights, {"image": x})["prob"]
    for opset in (13, 17, 18, 21):
        backend = OnnxBackend(opset=opset)
        actual = backend.load(backend.lower(graph), weights).forward({"image": x})["prob"]
        np.testing.assert_allclose(actual, expected, atol=1e-5 * np.abs(expected).max())


def test_an_instance_of_a_block_is_a_name_scope() -> None:
    graph = load_graph("tests/golden/blocks.yaml")
    model = onnx.load_from_string(BACKEND.lower(graph).content)
    names = [node.name for node in model.graph.node]
    assert len(set(names)) == len(names)
    assert {node.name.replace(".", "/") for node in graph.nodes} <= set(names)
    assert {name for name in names if name.startswith("units/4/squeeze/")} >= {"units/4/squeeze/fc"}
    assert [output.name for output in model.graph.output] == list(graph.outputs), "values keep their names"


def test_attributes_have_the_types_of_their_values() -> None:
    """A bool is an integer in ONNX. Attributes that are None are left out."""
    graph = NETWORKS["towers"]()
    value = GraphWriter(graph, opset=21).step(graph.nodes[0], "step", "Op", i=1, b=True, f=1.0, s="x", j=(1, 2), n=None)
    producer = value.producer()
    assert producer is not None
    types = {name: attribute.type.name for name, attribute in producer.attributes.items()}
    assert types == {"i": "INT", "b": "INT", "f": "FLOAT", "s": "STRING", "j": "INTS"}
