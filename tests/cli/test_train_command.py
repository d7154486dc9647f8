"""`netspec train` and `netspec eval`."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from netspec.spec import load_graph
from netspec.weights import initialize, save_weights
from tests import forked
from tests.cli.conftest import Run
from tests.forked import Forked
from tests.waiting import HANG

FEW = ("--set", "training.epochs=2")
ROW = re.compile(r" +(\d+) +([\d.]+) +([\d.]+)% +([\d.]+) +([\d.]+)% +([\d.]+)% +([\d.e-]+) +(\d+:\d\d)( \*)?")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put caches into a temporary folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.parametrize("backend", ["torch", "keras"])
def test_a_run_needs_no_argument_but_the_spec(netspec: Run, tmp_path: Path, backend: str) -> None:
    code, out, err = netspec("train", "specs/lenet5.yaml", "--backend", backend, "--out", tmp_path, *FEW)
    assert code == 0
    head, *rows, conclusion, report = out.splitlines()
    assert head.split() == ["epoch", "loss", "error", "val", "loss", "val", "err", "top-5", "rate", "time"]
    assert [int(m.group(1)) for row in rows if (m := ROW.fullmatch(row))] == [1, 2]
    assert conclusion.startswith("✓ 9")
    assert Path(report.strip()) == tmp_path / "lenet5" / "report.html"
    assert Path(report.strip()).read_text().startswith("<!DOCTYPE html>")
    assert "every fifth scan is held back" in err
    assert max(map(len, out.splitlines()[:-1])) <= 80  # a path is as long as it is


def test_both_backends_print_the_same_losses(netspec: Run, tmp_path: Path) -> None:
    printed = []
    for backend in ("torch", "keras"):
        out = netspec("train", "specs/lenet5.yaml", "--exact", "--backend", backend, "--out", tmp_path, *FEW)[1]
        printed.append([m.groups()[:7] for row in out.splitlines() if (m := ROW.fullmatch(row))])
    assert len(printed[0]) == 2
    assert printed[0] == printed[1]


def test_an_interrupt_writes_a_checkpoint_and_prints_the_command_to_continue(tmp_path: Path) -> None:
    few = ["--set", "training.epochs=6"]
    command = ["-m", "netspec", "train", "specs/lenet5.yaml", "--out", str(tmp_path), "--name", "mine", *few]
    process = Forked(command)
    process.wait_for_lines(2)  # the first epoch is done
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=HANG)
    assert process.returncode == 130
    stopped = re.search(r"stopped by SIGINT after step (\d+): (\S+)", err)
    assert stopped is not None
    assert Path(stopped.group(2)).is_file()
    assert f"to go on: netspec train specs/lenet5.yaml --out {tmp_path} --name mine {' '.join(few)} --resume" in err
    assert "Traceback" not in err
    resumed = forked.run([*command, "--resume"])
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stdout.splitlines()[-2].startswith("✓ 9")
    steps = [
        line["step"]
        for line in map(json.loads, (tmp_path / "mine" / "metrics.jsonl").read_text().splitlines())
        if line["kind"] == "step"
    ]
    assert steps == list(range(1, 6 * 44 + 1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("specs/lenet5.yaml", "--backend", "onnx"), "error: the onnx backend does not train"),
        (("specs/lenet5.yaml", "--backend", "troch"), "did you mean torch?"),
        (("specs/lenet5.yaml", "--data", "digit"), "did you mean digits?"),
        (("specs/lenet5.yaml", "--set", "classes=3"), "has 3 classes, and digits has 10"),
        (("specs/lenet5.yaml", "--device", "cuda"), "cuda"),
        (("specs/lenet5.yaml", "--resume"), "there is no run to continue"),
        (("specs/mlp.yaml",), "images become an input of [1, H, W] or [3, H, W], and input is [784]"),
        (("specs/lenet5.yaml", "--holdout", "0.2"), "has a validation part already"),
    ],
)
def test_mistakes_are_errors_without_a_traceback(
    netspec: Run, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    code, out, err = netspec("train", *arguments, "--out", tmp_path)
    assert (code, out) == (2, "")
    assert message.lower() in err.lower()
    assert "Traceback" not in err
    assert not list(tmp_path.glob("*/checkpoints/*.safetensors"))


def test_eval_agrees_in_all_backends_and_with_the_file(netspec: Run, tmp_path: Path) -> None:
    netspec("train", "specs/lenet5.yaml", "--out", tmp_path, *FEW)
    best = tmp_path / "lenet5" / "checkpoints" / "best.safetensors"
    code, out, _ = netspec("eval", "specs/lenet5.yaml", "--weights", best, "--backend", "all", "--json")
    assert code == 0
    report = json.loads(out)
    assert report["agree"]
    assert [(row["backend"], row["views"]) for row in report["scores"]] == [
        (backend, views) for backend in ("torch", "keras", "onnx") for views in (1, 10)
    ]
    errors = {row["views"]: set() for row in report["scores"]}
    for row in report["scores"]:
        errors[row["views"]].add((row["top1_error"], row["top5_error"]))
    assert all(len(values) == 1 for values in errors.values())
    last = json.loads((tmp_path / "lenet5" / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["best"]
    assert report["scores"][0]["top1_error"] == pytest.approx(last["validation_error"])
    assert report["scores"][0]["loss"] == pytest.approx(last["validation_loss"], rel=1e-5)
    netspec("build", "specs/lenet5.yaml", "--backend", "onnx", "--weights", best, "--out", tmp_path / "built")
    file = tmp_path / "built" / "onnx" / "lenet5.onnx"
    code, out, _ = netspec("eval", "specs/lenet5.yaml", "--weights", file, "--json", "--views", "1")
    assert code == 0
    assert json.loads(out)["scores"][0]["loss"] == pytest.approx(report["scores"][0]["loss"], rel=1e-5)


def test_eval_of_a_file_that_does_not_fit_is_an_error(netspec: Run, tmp_path: Path) -> None:
    netspec("build", "specs/lenet5.yaml", "--backend", "onnx", "--out", tmp_path)
    file = tmp_path / "onnx" / "lenet5.onnx"
    code, _, err = netspec("eval", "specs/cifar-alexnet-keras.yaml", "--weights", file)
    assert code == 2
    assert "computes [1, 32, 32] → [10], and cifar-alexnet-keras [3, 32, 32] → [10]" in err
    code, _, err = netspec("eval", "specs/lenet5.yaml", "--weights", file, "--set", "classes=12")
    assert (code, "computes [1, 32, 32] → [10], and lenet5 [1, 32, 32] → [12]" in err) == (2, True)
    code, _, err = netspec("eval", "specs/lenet5.yaml", "--weights", file, "--backend", "torch")
    assert code == 2
    assert "leave out --backend" in err


def test_eval_names_the_samples_that_it_leaves_out(netspec: Run, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for name in "ab":
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(2):
            pixels = random.integers(0, 256, (40, 40), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / name / f"{number}.png")
    broken = tmp_path / "data" / "a" / "0.png"
    broken.write_bytes(broken.read_bytes()[:300])
    netspec("build", "specs/lenet5.yaml", "--backend", "torch", "--out", tmp_path / "built")
    weights = tmp_path / "built" / "lenet5.safetensors"
    given = ("eval", "specs/lenet5.yaml", "--weights", weights, "--data", tmp_path / "data")
    code, _, err = netspec(*given)
    assert code == 2
    assert str(broken) in err
    code, out, err = netspec(*given, "--on-bad-sample", "skip")
    assert code == 0
    assert [line.split()[-1] for line in out.splitlines()[1:]] == ["3", "3"]
    assert err.count(f"skipped: {broken}") == 1
    code, out, err = netspec(*given, "--on-bad-sample", "skip", "--json")
    assert [row["samples"] for row in json.loads(out)["scores"]] == [3, 3]
    assert err.count(f"skipped: {broken}") == 1


def test_a_loss_that_is_not_finite_is_null_in_json(netspec: Run, tmp_path: Path) -> None:
    graph = load_graph("specs/lenet5.yaml")
    weights = initialize(graph, 0)
    weights["fc7.weight"] = np.full_like(weights["fc7.weight"], 3e38)  # finite, but its products overflow
    file = save_weights(tmp_path / "large.safetensors", graph, weights)
    code, out, err = netspec("eval", "specs/lenet5.yaml", "--weights", file, "--views", "1", "--json")
    assert code == 1
    assert "error: the loss is not finite: outputs of the network overflow\n" in err
    assert [row["loss"] for row in json.loads(out)["scores"]] == [None]
    assert json.loads(out)["agree"]


def test_eval_says_that_the_network_has_more_classes_than_the_data(netspec: Run, tmp_path: Path) -> None:
    """A folder of ten of ImageNet's classes has other numbers than they have in the network."""
    weights, more = tmp_path / "weights.safetensors", ("--set", "classes=12")
    graph = load_graph("specs/lenet5.yaml", ("classes=12",))
    save_weights(weights, graph, initialize(graph, 0))
    note = "note: lenet5 has 12 classes, and digits has 10, which are taken for its first 10\n"
    code, _, err = netspec("eval", "specs/lenet5.yaml", "--weights", weights, "--views", "1", *more)
    assert (code, err.count(note)) == (0, 1)


def test_eval_of_features_has_no_views(netspec: Run, tmp_path: Path) -> None:
    spec, data = tmp_path / "tiny.yaml", tmp_path / "features.npz"
    recipe = "{batch_size: 4, epochs: 1, optimizer: {name: sgd, learning_rate: 0.1}}"
    spec.write_text(f"name: tiny\ninput: {{shape: [3]}}\nlayers: {{fc: {{op: dense, units: 2}}}}\ntraining: {recipe}\n")
    np.savez(data, x=np.ones((12, 3), np.float32), y=np.arange(12) % 2)
    netspec("train", spec, "--data", data, "--out", tmp_path)
    code, out, _ = netspec(
        "eval", spec, "--data", data, "--weights", tmp_path / "tiny" / "checkpoints" / "last.safetensors"
    )
    assert code == 0
    header, row = (line.split() for line in out.splitlines())
    assert (header[:2], row[:2]) == (["backend", "top-1"], ["torch", "50.00%"])
