"""`netspec show --passes`, `--optimize` and `--compile`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from torch._inductor import config

import netspec as api
from netspec.lowering import at_level, find_backend
from netspec.verify.cases import check_weights_of
from netspec.weights import save_weights
from tests.cli.conftest import Run
from tests.waiting import HANG

SPEC = """\
name: foldable
source: a test
input: {shape: [3, 9, 8]}
layers:
  conv: {op: conv2d, filters: 4, kernel_size: 3, bias: false}
  norm: {op: batch_norm}
  act: {op: relu}
  lrn: {op: local_response_norm, size: 3, alpha: 0.01, beta: 0.75, k: 2, convention: sum}
  flat: {op: flatten}
  half: {op: dropout, rate: 0.5, mode: standard}
  fc: {op: dense, units: 4}
"""


@pytest.fixture
def foldable(tmp_path: Path) -> Path:
    path = tmp_path / "foldable.yaml"
    path.write_text(SPEC)
    return path


def test_passes_are_shown_with_their_changes_and_savings(netspec: Run, foldable: Path) -> None:
    code, out, err = netspec("show", foldable, "--passes")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert "foldable, --optimize training" in lines
    assert "foldable, --optimize inference" in lines
    inference = lines[lines.index("foldable, --optimize inference") :]
    (fold,) = (line for line in inference if line.startswith("fold-affine "))
    assert fold.split() == ["fold-affine", "norm", "−1", "−12", "−672", "B"]
    assert "fold-affine: batch norms, scales and shifts of channels are folded into the layer before them" in lines
    assert "in-place is not made for onnx: onnxruntime plans its memory itself" in lines
    assert not any(line.startswith("relu-after-max-pool") for line in lines)  # which has nothing to do here


def test_passes_as_json(netspec: Run, foldable: Path) -> None:
    code, out, err = netspec("show", foldable, "--passes", "--json")
    assert (code, err) == (0, "")
    (report,) = json.loads(out)
    assert report["name"] == "foldable"
    assert report["plain"] == {"nodes": 7, "weights": 800, "written_bytes": 3376}
    steps = {step["pass"]: step for step in report["levels"]["inference"]}
    assert steps["fold-affine"]["changed"] == ["norm"]
    assert steps["fold-dropout-scale"]["left"]["nodes"] == 6
    assert "fold-affine" not in {step["pass"] for step in report["levels"]["training"]}
    assert set(report["not_made_for"]["in-place"]) == {"keras", "onnx"}


def test_passes_and_a_flowchart_exclude_each_other(netspec: Run, foldable: Path) -> None:
    code, _, err = netspec("show", foldable, "--passes", "--graph")
    assert code == 2
    assert "--graph and --passes exclude each other" in err


def test_the_weights_of_an_optimized_build_are_marked_as_optimized(
    netspec: Run, foldable: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert netspec("build", foldable, "--backend", "torch,onnx", "--optimize", "inference", "--out", out)[0] == 0
    file = out / "foldable.safetensors"
    with safe_open(file, framework="numpy") as opened:
        assert json.loads(opened.metadata()["netspec"])["optimized"] == "inference"
        assert sorted(opened.keys()) == ["conv.bias", "conv.weight", "fc.bias", "fc.weight"]
    for command in (["build", foldable, "--backend", "torch"], ["verify", foldable, "--backends", "torch"]):
        code, printed, err = netspec(*command, "--weights", file)
        assert (code, printed) == (2, "")
        assert err.splitlines() == [
            f"error: {file}: these are weights of foldable after --optimize inference, which are not the spec's",
            "hint: `netspec build` without --optimize writes the spec's own",
        ]
    assert (
        netspec("build", foldable, "--backend", "onnx", "--optimize", "inference", "--opset", 20, "--out", out)[0] == 0
    )


def test_an_optimized_network_is_verified(netspec: Run, foldable: Path) -> None:
    code, out, err = netspec("verify", foldable, "--backends", "torch,onnx", "--optimize", "inference", "--json")
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert report["passed"]
    assert {row["backend"] for row in report["comparisons"]} == {"torch", "onnx"}


@pytest.mark.parametrize("level", ["gradient", "training"])
def test_gradients_cannot_be_compared_after_optimization_for_inference(
    netspec: Run, foldable: Path, level: str
) -> None:
    code, out, err = netspec("verify", foldable, "--optimize", "inference", "--level", level)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: --level {level} cannot be compared after --optimize inference: ")
    assert f"or in training, `--optimize training --level {level}`" in err


def test_only_torch_is_compiled(netspec: Run, foldable: Path, tmp_path: Path) -> None:
    code, out, err = netspec("build", foldable, "--backend", "onnx", "--compile", "--out", tmp_path / "out")
    assert (code, out) == (2, "")
    assert "--compile is for PyTorch" in err


def test_a_batch_size_is_of_machine_code(netspec: Run, foldable: Path, tmp_path: Path) -> None:
    code, out, err = netspec("build", foldable, "--backend", "torch", "--batch-size", 8, "--out", tmp_path / "out")
    assert (code, out) == (2, "")
    assert "--batch-size is for --compile: all other models take any number of samples" in err
    assert not (tmp_path / "out").exists()


CHECKED = """\
import sys, torch
from torch._inductor import aoti_load_package
model, one = aoti_load_package(sys.argv[1]), torch.zeros(1, 3, 9, 8)
assert model(one).shape == (1, 4)
in_other_order = one.to(memory_format=torch.channels_last)
for wrong in torch.zeros(2, 3, 9, 8), one[..., :7].contiguous(), in_other_order, one.double():
    try:
        model(wrong)
    except RuntimeError:
        continue
    raise AssertionError(f"took {wrong.shape}, {wrong.dtype}, {wrong.stride()}")
"""


def test_machine_code_for_one_sample_is_written_and_verified(netspec: Run, foldable: Path, tmp_path: Path) -> None:
    options = ("--backend", "torch", "--compile", "--batch-size", 1)
    code, printed, err = netspec("build", foldable, *options, "--out", tmp_path)
    assert (code, err) == (0, "")
    assert "foldable.pt2" in printed
    command = [sys.executable, "-I", "-c", CHECKED, str(tmp_path / "torch" / "foldable.pt2")]
    checked = os.environ | {"AOTI_RUNTIME_CHECK_INPUTS": "1"}
    subprocess.run(command, check=True, capture_output=True, timeout=HANG, cwd=tmp_path, env=checked)
    code, printed, err = netspec("verify", foldable, *options)
    assert (code, err) == (0, "")
    assert "torch" in printed


def test_without_a_compiler_there_is_one_error_and_no_file(netspec: Run, foldable: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    with config.patch({"cpp.cxx": (None, "/nonexistent")}):  # what torch makes of CXX=/nonexistent when it is imported
        code, printed, err = netspec("build", foldable, "--backend", "torch", "--compile", "--out", out)
    assert (code, printed) == (2, "")
    error, hint = err.splitlines()
    assert error.startswith("error: torch cannot compile foldable: InvalidCxxCompiler: ")
    assert hint == "hint: install a C++ compiler, g++ or the one that CXX names; or build without --compile"
    assert not (tmp_path / "new").exists()


LOAD = """\
import sys, numpy, torch
from torch._inductor import aoti_load_package
model = aoti_load_package(sys.argv[1])
image = torch.from_numpy(numpy.load(sys.argv[2]))
numpy.savez(sys.argv[3], *[model(image[:batch].contiguous()).numpy() for batch in (1, 2, 20)])
assert not any(name.startswith("netspec") for name in sys.modules)
"""


def test_a_compiled_model_is_the_plain_one_and_needs_no_netspec(netspec: Run, foldable: Path, tmp_path: Path) -> None:
    graph = api.load(foldable).graph
    weights = check_weights_of(graph)
    file = save_weights(tmp_path / "plain.safetensors", graph, weights)
    out = tmp_path / "out"
    arguments = ("--backend", "torch", "--compile", "--weights", file, "--out", out)
    code, printed, err = netspec("build", foldable, *arguments)
    assert (code, err) == (0, "")
    assert printed.count("\n") == 5
    image = np.random.default_rng(0).standard_normal((20, 3, 9, 8)).astype(np.float32)
    np.save(tmp_path / "image.npy", image)
    files = [out / "torch" / "foldable.pt2", tmp_path / "image.npy", tmp_path / "outputs.npz"]
    command = [sys.executable, "-I", "-c", LOAD, *map(str, files)]
    subprocess.run(command, check=True, capture_output=True, timeout=HANG, cwd=tmp_path)
    plain = find_backend("torch")
    (expected,) = plain.load(plain.lower(graph), weights).forward({"input": image}).values()
    with np.load(tmp_path / "outputs.npz") as arrays:
        for batch, array in zip((1, 2, 20), arrays.values(), strict=True):
            np.testing.assert_allclose(array, expected[:batch], rtol=0, atol=1e-5 * np.abs(expected).max())


def test_a_compiled_model_contains_no_custom_gradients() -> None:
    # Their memory use depends on the batch size, which is dynamic in a compiled model.
    from netspec.testing.networks import towers

    compiled = find_backend("torch").with_options(compile=True)
    for backend in (compiled, at_level(compiled, "training"), at_level(compiled, "inference")):
        assert "autograd" not in str(backend.lower(towers()).content)
        assert not backend.trains
