"""Emitted PyTorch source: a formatted, lint-clean module that needs torch alone, whatever the names in the spec."""

import ast
import contextlib
import dataclasses
import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from netspec_torch import BACKEND
from netspec_torch.reserved import MODULE_ATTRIBUTES
from safetensors.numpy import save_file

from netspec.graph import Graph, Input, make_node
from netspec.ops import OPS, Identity, Relu
from netspec.testing.networks import NETWORKS, Chain
from netspec.types import TensorType

RUFF = [sys.executable, "-m", "ruff"]


def alexnet() -> Graph:
    """A narrow AlexNet."""
    norm = {"size": 5, "alpha": 1e-4, "beta": 0.75, "k": 2, "convention": "sum", "groups": 2}
    chain = (
        Chain("alexnet-small", image=(3, 64, 64))
        .add("conv1", "conv2d", filters=8, kernel_size=11, stride=4, padding={"bottom": 3, "right": 3})
        .add("relu1", "relu")
        .add("norm1", "local_response_norm", **norm)
        .add("pool1", "max_pool2d", kernel_size=3, stride=2)
        .add("conv2", "conv2d", filters=16, kernel_size=5, padding=2, groups=2)
        .add("relu2", "relu")
        .add("norm2", "local_response_norm", **norm)
        .add("pool2", "max_pool2d", kernel_size=3, stride=2)
        .add("flatten", "flatten")
        .add("fc6", "dense", units=32)
        .add("relu6", "relu")
        .add("drop6", "dropout", rate=0.5)
        .add("fc8", "dense", units=10)
    )
    return dataclasses.replace(chain.graph(), source="Krizhevsky, Sutskever & Hinton 2012, section 3")


def source_of(graph: Graph) -> str:
    return str(BACKEND.lower(graph).content)


def test_axes_are_joined_by_flatten() -> None:
    chain = Chain("tokens", image=(6, 4, 2)).add("rows", "reshape", shape=[6, 8]).add("all", "reshape", shape=[48])
    source = source_of(chain.graph())
    assert "x.flatten(2)" in source
    assert "x.flatten(1)" in source
    assert "reshape" not in source
    other = (
        Chain("other", image=(6, 4, 2)).add("rows", "reshape", shape=[24, 2]).add("split", "reshape", shape=[24, 2, 1])
    )
    assert "flatten" not in source_of(other.graph())


def every_sample() -> dict[str, Graph]:
    graphs = {}
    for kind, op in OPS.items():
        for number, sample in enumerate(op.samples()):
            inputs = tuple(Input(f"input{i}", TensorType.of(*shape)) for i, shape in enumerate(sample.inputs))
            node = make_node("y", sample.op, inputs if sample.op.inputs != (0, 0) else ())
            graphs[f"{kind}_{number}"] = Graph(kind, inputs, (node,), ("y",))
    return graphs


def test_the_class_reads_as_written_by_hand() -> None:
    tree = source_of(alexnet())
    assert (
        tree[tree.index("class AlexnetSmall") :]
        == '''\
class AlexnetSmall(nn.Module):
    """(N, 3, 64, 64) to (N, 10); 9,498 weights."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, kernel_size=11, stride=4)
        self.norm1 = LocalResponseNorm(size=5, alpha=0.0001, beta=0.75, k=2.0, groups=2)
        self.pool1 = nn.MaxPool2d(kernel_size=3, stride=2)
        self.conv2 = nn.Conv2d(8, 16, kernel_size=5, padding=2, groups=2)
        self.norm2 = LocalResponseNorm(size=5, alpha=0.0001, beta=0.75, k=2.0, groups=2)
        self.pool2 = nn.MaxPool2d(kernel_size=3, stride=2)
        self.fc6 = nn.Linear(144, 32)
        self.drop6 = nn.Dropout(p=0.5)
        self.fc8 = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (0, 3, 0, 3))  # (N, 3, 67, 67)
        x = self.conv1(x)  # (N, 8, 15, 15)
        x = F.relu(x)
        x = self.norm1(x)
        x = self.pool1(x)  # (N, 8, 7, 7)
        x = self.conv2(x)  # (N, 16, 7, 7)
        x = F.relu(x)
        x = self.norm2(x)
        x = self.pool2(x)  # (N, 16, 3, 3)
        x = x.flatten(1)  # (N, 144)
        x = self.fc6(x)  # (N, 32)
        x = F.relu(x)
        x = self.drop6(x)
        x = self.fc8(x)  # (N, 10)
        return x
'''
    )


def test_source_is_formatted_and_lint_clean(tmp_path: Path) -> None:
    graphs = {**every_sample(), **{name: build() for name, build in NETWORKS.items()}, "alexnet": alexnet()}
    for name, graph in graphs.items():
        (tmp_path / f"{name}.py").write_text(source_of(graph), encoding="utf-8")
    for command in (["format", "--diff"], ["check", "--select", "F,E,W,I,UP"]):
        arguments = [*RUFF, *command, "--isolated", "--no-cache", str(tmp_path)]
        result = subprocess.run(arguments, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout[:3000] + result.stderr


def test_it_runs_without_netspec(tmp_path: Path) -> None:
    graph = Chain("alone", image=(4, 9, 7))
    graph.add("norm", "local_response_norm", size=3, alpha=0.1, beta=0.6, k=1, convention="mean", groups=2)
    graph.add("patch", "local_response_norm", size=3, alpha=0.1, beta=0.75, k=1, convention="mean", region="map")
    graph.add("batch", "batch_norm", running_variance="biased").add("layer", "layer_norm", axes=[1])
    graph.add("pool", "avg_pool2d", kernel_size=3, stride=2, padding={"top": 2}, round="ceil")
    graph.add("flat", "flatten").add("fc", "dense", units=6, groups=2).add("drop", "dropout", rate=0.5, mode="standard")
    lowered = graph.graph()
    artifact = BACKEND.lower(lowered)
    random = np.random.default_rng(0)
    weights = {name: random.uniform(0.5, 2, w.shape).astype(np.float32) for name, w in lowered.weights.items()}
    image = random.normal(size=(2, 4, 9, 7)).astype(np.float32)
    (tmp_path / "alone.py").write_text(str(artifact.content), encoding="utf-8")
    save_file(artifact.to_native(weights), tmp_path / "alone.safetensors")
    np.save(tmp_path / "image.npy", image)
    script = """
import sys
for name in ("netspec", "netspec_torch", "numpy.random"):
    sys.modules[name] = None  # importing it raises
import numpy as np, torch
from safetensors.torch import load_file
from alone import Alone
model = Alone()
model.load_state_dict(load_file("alone.safetensors"))
model.eval()
with torch.inference_mode():
    np.save("result.npy", model(torch.from_numpy(np.load("image.npy"))).numpy())
model.train()
model(torch.from_numpy(np.load("image.npy"))).sum().backward()
print(model)
"""
    result = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "LocalResponseNorm(size=3" in result.stdout
    expected = BACKEND.load(artifact, weights).forward({"image": image})["drop"]
    np.testing.assert_array_equal(np.load(tmp_path / "result.npy"), expected)


def test_reserved_names_are_those_of_a_module() -> None:
    attributes = {name for name in dir(torch.nn.Module()) if not name.startswith("__")}
    assert attributes <= MODULE_ATTRIBUTES


@pytest.mark.parametrize(
    "clash", sorted(MODULE_ATTRIBUTES | {"x", "self", "F", "nn", "torch", "Tensor", "float", "super"})
)
def test_a_layer_may_have_any_name(clash: str) -> None:
    graph = Chain("clash", **{clash if clash != "self" else "image": (2, 4, 4)})
    graph.add(f"{clash}_", "conv2d", filters=2, kernel_size=1).add("y" if clash == "self" else f"{clash}__", "relu")
    named = Chain("clash", image=(2, 5, 5)).add(clash, "batch_norm", affine=False)
    named.add("pool", "max_pool2d", kernel_size=3, padding={"top": 2}).add("sum", "add", reads=("pool", "pool"))
    for lowered in (graph.graph(), named.graph(clash, "sum")):
        weights = {name: np.ones(w.shape) for name, w in lowered.weights.items()}
        model = BACKEND.load(BACKEND.lower(lowered), weights)
        inputs = {i.name: np.full((2, *i.type.features), -1.0) for i in lowered.inputs}
        assert all(np.isfinite(array).all() for array in model.forward(inputs).values())


@pytest.mark.parametrize(
    "spec_name", ["local-response-norm", "neighbors", "tensor", "nn", "f", "float", "2012", "none"]
)
def test_a_network_may_have_any_name(spec_name: str) -> None:
    chain = Chain(spec_name, image=(4, 2, 2))
    chain.add("norm", "local_response_norm", size=3, alpha=1, beta=0.75, k=1, convention="sum")
    model = BACKEND.load(BACKEND.lower(chain.graph()), {})
    assert model.forward({"image": np.ones((1, 4, 2, 2))})["norm"].shape == (1, 4, 2, 2)


HOSTILE = (
    "a\nimport os",
    "a; import os",
    "a): import os #",
    "__import__('os')",
    "a.b",
    'a"""',
    "a b",
    "é",
    "class",
    "",
)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_invalid_names_never_reach_the_source(hostile: str) -> None:
    image, renamed = Input("image", TensorType.of(3)), Input(hostile, TensorType.of(3))
    node = make_node(hostile, Relu(), [image])
    read, unread = make_node("y", Identity(), [renamed]), make_node("y", Identity(), [image])
    for graph in (
        Graph("net", (image,), (node,), (hostile,)),
        Graph("net", (image,), (node, make_node("y", Identity(), [node])), ("y", hostile)),
        Graph("net", (renamed,), (read,), ("y",)),
        Graph("net", (image, renamed), (unread,), ("y",)),
    ):
        with contextlib.suppress(ValueError):  # refused, unless the value is the anonymous `x` in the source
            source = source_of(graph)
            assert hostile in ("", "class") or hostile not in source


@pytest.mark.parametrize("hostile", [*HOSTILE, '"""\nimport os\n"""', "\\", 'x"', "\r\nimport os", "\x0cimport os"])
def test_strings_of_a_spec_stay_text(hostile: str) -> None:
    graph = dataclasses.replace(alexnet(), name=hostile, source=hostile)
    plain, attacked = ast.parse(source_of(alexnet())), ast.parse(source_of(graph))
    assert len(plain.body) == len(attacked.body)
    for ours, theirs in itertools.islice(zip(plain.body, attacked.body, strict=True), 1, len(plain.body) - 1):
        assert ast.dump(ours) == ast.dump(theirs)
    net, hostile_net = plain.body[-1], attacked.body[-1]
    assert isinstance(net, ast.ClassDef)
    assert isinstance(hostile_net, ast.ClassDef)
    assert [ast.dump(s) for s in net.body] == [ast.dump(s) for s in hostile_net.body]


def test_a_pool_rounds_as_the_spec_says_though_its_windows_fit() -> None:
    """The same module then serves maps of other sizes, and blocks of which only some windows overhang share a class."""
    for op in ("max_pool2d", "avg_pool2d"):
        chain = Chain("pools", image=(2, 9, 9))
        chain.add("fits", op, kernel_size=3, stride=2, round="ceil").add("overhangs", op, kernel_size=3, round="ceil")
        pools = [line for line in source_of(chain.graph()).splitlines() if "Pool2d(" in line]
        assert len(pools) == 2
        assert all("ceil_mode=True" in pool for pool in pools)
