"""Emitted source, byte for byte: a review shows every change of it.

`NETSPEC_UPDATE_GOLDEN=1 pytest tests/test_golden.py` writes the files anew, and fails those that it changed, so that no
run passes on what it has just written; run again, and commit what `git diff` shows. With CI set it refuses.
"""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import AttributeProto, ModelProto, TensorProto, ValueInfoProto, helper, numpy_helper

import netspec
from netspec.passes import Level

GOLDEN = Path(__file__).parent / "golden"
SPECS = Path(__file__).parent.parent / "specs"
# AlexNet, the article's network with its batch normalization, and a small one with what both lack: branches that meet
# again, two outputs, dense layers in groups. A family of blocks as people write it, and blocks in every shape, and
# instances of one that differ.
NETWORKS = {
    "alexnet": SPECS / "alexnet.yaml",
    "cifar-alexnet-keras": SPECS / "cifar-alexnet-keras.yaml",
    "branches": GOLDEN / "branches.yaml",
    "resnet": SPECS / "resnet.yaml",
    "blocks": GOLDEN / "blocks.yaml",
    "heads": GOLDEN / "heads.yaml",
    "variants": GOLDEN / "variants.yaml",
}
# What passes make of AlexNet, of a block whose sum is written in place and whose norms are folded, and of constants and
# scales.
OPTIMIZED: dict[str, tuple[Path, Level]] = {
    "alexnet.training.torch.py": (SPECS / "alexnet.yaml", "training"),
    "alexnet.inference.torch.py": (SPECS / "alexnet.yaml", "inference"),
    "residual.training.torch.py": (GOLDEN / "residual.yaml", "training"),
    "residual.inference.torch.py": (GOLDEN / "residual.yaml", "inference"),
    "constants.inference.torch.py": (GOLDEN / "constants.yaml", "inference"),
}
SUFFIXES = {"torch": "torch.py", "keras": "keras.py", "onnx": "onnx.txt"}
FEW = 12  # numbers that are printed; of more, a hash


@pytest.mark.parametrize("backend", SUFFIXES)
@pytest.mark.parametrize("network", NETWORKS)
def test_what_is_emitted(network: str, backend: str) -> None:
    content = netspec.load(NETWORKS[network]).lower(backend).content
    emitted = content if isinstance(content, str) else print_model(onnx.load_from_string(content))
    check_golden(GOLDEN / f"{network}.{SUFFIXES[backend]}", emitted)


@pytest.mark.parametrize("golden", OPTIMIZED)
def test_what_is_emitted_of_an_optimized_network(golden: str) -> None:
    path, level = OPTIMIZED[golden]
    check_golden(GOLDEN / golden, str(netspec.load(path).lower("torch", optimize=level).content))


def check_golden(golden: Path, emitted: str) -> None:
    expected = golden.read_text(encoding="utf-8") if golden.exists() else ""
    if os.environ.get("NETSPEC_UPDATE_GOLDEN") and emitted != expected:
        assert not os.environ.get("CI"), "goldens are not written in CI"
        golden.write_text(emitted, encoding="utf-8")
        pytest.fail(f"{golden.name} was written: look at its diff, and run again without NETSPEC_UPDATE_GOLDEN")
    assert emitted.splitlines() == expected.splitlines(), (
        "if meant: NETSPEC_UPDATE_GOLDEN=1 pytest tests/test_golden.py"
    )
    assert emitted == expected


def test_every_golden_has_a_network() -> None:
    names = {f"{network}.{suffix}" for network in NETWORKS for suffix in SUFFIXES.values()}
    specs = {
        path.name for path in (*NETWORKS.values(), *(path for path, _ in OPTIMIZED.values())) if path.parent == GOLDEN
    }
    assert {path.name for path in GOLDEN.iterdir() if path.is_file()} == names | {*OPTIMIZED} | specs


@pytest.mark.parametrize(
    "command",
    [
        ["format", "--check"],
        # E501: a line too long to break is a string or comment from the spec, which the source keeps whole.
        ["check", "--select", "F,E,I", "--ignore", "E501"],
    ],
    ids=["format", "check"],
)
def test_emitted_source_is_laid_out_and_clean(command: list[str]) -> None:
    sources = sorted(map(str, GOLDEN.glob("*.py")))
    assert len(sources) == 2 * len(NETWORKS) + len(OPTIMIZED)
    ruff = [sys.executable, "-m", "ruff", *command, "--isolated", "--no-cache", *sources]
    result = subprocess.run(ruff, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def print_model(model: ModelProto) -> str:
    """Every fact of a model on a line of its own, in the model's order; independent of onnx's own printer."""
    return "\n".join([*_lines(model), ""])


def _lines(model: ModelProto) -> Iterator[str]:
    yield f"ir_version {model.ir_version}"
    yield from (f"opset {entry.domain or 'ai.onnx'} {entry.version}" for entry in model.opset_import)
    yield f"producer {model.producer_name}"
    yield f"doc {model.doc_string!r}"
    yield from (f"metadata {entry.key} {entry.value!r}" for entry in model.metadata_props)
    graph = model.graph
    yield f"graph {graph.name}"
    yield from (f"input {_value(value)}" for value in graph.input)
    yield from (f"constant {_tensor(tensor)}" for tensor in graph.initializer)
    types = {value.name: _value(value) for value in (*graph.value_info, *graph.output)}
    for node in graph.node:
        attributes = "".join(f" {a.name}={_attribute(a)}" for a in node.attribute)
        outputs = ", ".join(types[name] for name in node.output)
        named = "" if [node.name] == list(node.output) else f" as {node.name}"
        yield f"{outputs} = {node.op_type}({', '.join(node.input)}){attributes}{named}"
    yield from (f"output {_value(value)}" for value in graph.output)


def _value(value: ValueInfoProto) -> str:
    tensor = value.type.tensor_type
    shape = ", ".join(str(d.dim_param or d.dim_value) for d in tensor.shape.dim)
    return f"{value.name}: {TensorProto.DataType.Name(tensor.elem_type).lower()}[{shape}]"


def _tensor(tensor: TensorProto) -> str:
    array = numpy_helper.to_array(tensor)
    digest = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]
    values = array.tolist() if array.size <= FEW else f"sha256 {digest}"
    return f"{tensor.name}: {array.dtype}{list(array.shape)} = {values}"


def _attribute(attribute: AttributeProto) -> str:
    value = helper.get_attribute_value(attribute)
    return value.decode() if isinstance(value, bytes) else str(value)
