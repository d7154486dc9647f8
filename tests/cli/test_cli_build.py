"""`netspec build` and `netspec run`."""

import json
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from netspec.lowering import find_backend
from netspec.spec import load_graph
from netspec.weights import initialize, save_weights
from tests.cli.conftest import Run, Spec, process


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_build_writes_source_and_weights_and_says_so(netspec: Run, small: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, printed, err = netspec("build", small, "--backend", "torch", "--out", out)
    assert (code, err) == (0, "")
    assert files(out) == ["small.safetensors", "torch/small.py", "torch/small.safetensors"]
    assert str(out / "torch" / "small.py") in printed
    assert f"{(out / 'small.safetensors').stat().st_size:,}" in printed


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(netspec: Run, small: Path, tmp_path: Path) -> None:
    def build(name: str, seed: int) -> list[bytes]:
        out = tmp_path / name
        assert netspec("build", small, "--backend", "torch,onnx", "--out", out, "--seed", seed)[0] == 0
        return [(out / file).read_bytes() for file in files(out)]

    assert build("a", 1) == build("b", 1)
    assert build("a", 1) != build("c", 2)


def test_emitting_source_needs_no_framework(
    netspec: Run, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(find_backend("torch")), "missing", lambda _: ["torch"])
    assert netspec("build", small, "--backend", "torch", "--out", tmp_path / "out")[0] == 0


def test_a_missing_framework_is_one_error_and_nothing_is_written(
    netspec: Run, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(find_backend("keras")), "missing", lambda _: ["keras", "tensorflow"])
    code, out, err = netspec("build", small, "--backend", "torch,keras", "--out", tmp_path / "new" / "out")
    assert (code, out) == (2, "")
    assert err == (
        "error: the keras backend needs keras, tensorflow, not installed here\nhint: pip install 'netspec[keras]'\n"
    )
    assert not (tmp_path / "new").exists()


def test_weights_from_a_file_are_used_and_checked(netspec: Run, small: Path, write_spec: Spec, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert netspec("build", small, "--backend", "torch", "--out", first, "--seed", 5)[0] == 0
    file = first / "small.safetensors"
    assert netspec("build", small, "--backend", "torch", "--out", second, "--weights", file)[0] == 0
    assert (second / "small.safetensors").read_bytes() == file.read_bytes()
    code, _, err = netspec("build", small, "--backend", "torch", "--weights", file, "--set", "classes=5")
    assert code == 2
    assert "fc.weight" in err
    save_file({"other": np.zeros(3, np.float32)}, file)
    assert "unexpected: other" in netspec("build", small, "--backend", "torch", "--weights", file)[2]
    file.write_bytes(b"not a file of weights")
    assert "not a readable safetensors file" in netspec("build", small, "--backend", "torch", "--weights", file)[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--backend", "tensorflw"], "there is no backend 'tensorflw'"),
        (["--backend", "torch,"], "separated by commas"),
        (["--backend", "torch", "--opset", "17"], "--opset is for ONNX"),
        (["--backend", "onnx", "--opset", "7"], "does not support opset 7"),
        (["--backend", "torch", "--weights", "w", "--seed", "1"], "exclude each other"),
        (["--backend", "torch", "--seed", "-1"], "--seed"),
        ([], "--backend"),
    ],
)
def test_mistakes_are_errors_that_name_the_option(
    netspec: Run, small: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    code, out, err = netspec("build", small, "--out", tmp_path / "out", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made_is_an_error(netspec: Run, small: Path) -> None:
    code, _, err = netspec("build", small, "--backend", "torch", "--out", small / "out")
    assert code == 2
    assert "cannot write" in err
    assert "--out" in err


def test_a_photograph_goes_through_the_onnx_model(netspec: Run, small: Path, tmp_path: Path, photograph: Path) -> None:
    assert netspec("build", small, "--backend", "onnx", "--out", tmp_path / "out")[0] == 0
    model = tmp_path / "out" / "onnx" / "small.onnx"
    labels = tmp_path / "labels.txt"
    labels.write_text("cat\ndog\nbird\nfish\n")
    code, out, err = netspec("run", model, photograph, "--top", 2, "--labels", labels)
    assert (code, err) == (0, "")
    assert re.fullmatch(r"small: .*\nrank  class +onnx\n +1  \w+ +\S+\n +2  \w+ +\S+\n", out)
    (report,) = json.loads(netspec("run", model, photograph, "--json")[1])
    scores = [entry["outputs"]["onnx"] for entry in report["top"]]
    assert len(scores) == 4
    assert scores == sorted(scores, reverse=True)


def test_a_bad_image_is_named_and_the_others_are_run(
    netspec: Run, small: Path, tmp_path: Path, photograph: Path
) -> None:
    assert netspec("build", small, "--backend", "onnx", "--out", tmp_path / "out")[0] == 0
    model = tmp_path / "out" / "onnx" / "small.onnx"
    code, out, err = netspec("run", model, small, tmp_path / "absent.jpg", photograph)
    assert code == 2
    assert [str(small) in err, str(tmp_path / "absent.jpg") in err] == [True, True]
    assert out.startswith(f"small: {photograph}")


def test_a_spec_that_nothing_can_run_is_an_error(
    netspec: Run, small: Path, photograph: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("torch", "keras", "onnx"):
        monkeypatch.setattr(type(find_backend(name)), "missing", lambda self: [self.name])
    code, out, err = netspec("run", small, photograph)
    assert (code, out) == (2, "")
    assert "no backend is installed" in err


def test_a_folder_instead_of_an_image_and_a_wrong_number_of_labels_are_errors(
    netspec: Run, small: Path, tmp_path: Path, photograph: Path
) -> None:
    code, _, err = netspec("run", small, tmp_path, "--backends", "torch")
    assert (code, err) == (2, f"error: {tmp_path}: is a directory\nhint: name the images in it\n")
    labels = tmp_path / "labels.txt"
    labels.write_text("background\ncat\ndog\nbird\nfish\n")
    call = partial(netspec, "run", small, photograph, "--backends", "torch", "--labels")
    assert call(labels) == (2, "", f"error: {labels}: has 5 lines, and small has 4 classes\n")
    assert (
        call(tmp_path / "absent")[2]
        == f"error: cannot read the labels {tmp_path / 'absent'}: No such file or directory\n"
    )
    assert "not UTF-8 text" in call(photograph)[2]


@pytest.mark.parametrize("of_a_spec", [True, False])
def test_a_segmentation_network_is_an_error_before_an_image_is_read(
    netspec: Run, write_spec: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of_a_spec: bool
) -> None:
    spec = write_spec("map.yaml", **{"  flat: {op: flatten}\n": "", '{op: dense, units: "${classes}"}': "{op: relu}"})
    netspec("build", spec, "--backend", "onnx", "--out", tmp_path)
    monkeypatch.setattr("netspec.cli.run._run", lambda *_: pytest.fail("an image is read"))
    code, out, err = netspec("run", spec if of_a_spec else tmp_path / "onnx" / "small.onnx", tmp_path / "absent.png")
    assert (code, out) == (2, "")
    assert err.startswith("error: small: its output fc has shape (4, 7, 6), expected a number a class\nhint: ")


def test_outputs_that_overflow_are_printed_and_null_in_json(
    netspec: Run, small: Path, tmp_path: Path, photograph: Path
) -> None:
    graph = load_graph(small)
    weights = {name: np.full_like(array, 3e38) for name, array in initialize(graph, 0).items()}
    file = save_weights(tmp_path / "large.safetensors", graph, weights)
    arguments = ("run", small, photograph, "--weights", file, "--backends", "torch,onnx")
    code, out, err = netspec(*arguments)
    assert (code, err) == (0, "")
    assert "largest difference from torch, of the largest output: onnx nan" in out
    code, out, _ = netspec(*arguments, "--json")
    (result,) = json.loads(out)
    assert (code, result["differences"]) == (0, {"onnx": None})
    assert result["top"][0]["outputs"] == {"torch": None, "onnx": None}


def test_a_file_that_is_no_model_is_an_error(netspec: Run, photograph: Path) -> None:
    code, out, err = netspec("run", photograph, photograph)
    assert (code, out) == (2, "")
    assert "not an ONNX model" in err
    assert "name a .onnx file" in err
    assert "for a spec" in netspec("run", photograph, photograph, "--seed", 1)[2]


def test_all_three_backends_build_and_agree_on_a_photograph(
    netspec: Run, small: Path, tmp_path: Path, photograph: Path
) -> None:
    out = tmp_path / "out"
    built = process("build", small, "--backend", "all", "--out", out)
    assert (built.returncode, built.stderr) == (0, "")
    assert files(out) == [
        *("keras/small.keras", "keras/small.py", "onnx/small.onnx", "small.safetensors", "torch/small.py"),
        "torch/small.safetensors",
    ]
    weights = out / "small.safetensors"
    assert load_file(weights).keys() == {f"{n}.{w}" for n in ("conv1", "conv2", "fc") for w in ("weight", "bias")}
    code, printed, err = netspec("run", small, photograph, "--weights", weights, "--json")
    assert (code, err) == (0, "")
    (result,) = json.loads(printed)
    assert result["differences"].keys() == {"keras", "onnx"}
    assert max(result["differences"].values()) < 1e-5
