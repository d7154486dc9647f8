"""`netspec study` in one process and in several: finished, stopped, failing and continued."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netspec.weights import read_arrays
from tests.cli.conftest import Run
from tests.forked import Forked
from tests.waiting import HANG, wait_until

NETWORK = """\
name: tiny
input: {shape: [16]}
parameters: {hidden: 8}
layers:
  fc1: {op: dense, units: "${hidden}", initialize: {weight: {variance_scaling: {}}}}
  relu: {op: relu}
  fc2: {op: dense, units: 3, initialize: {weight: {variance_scaling: {}}}}
training: {batch_size: 10, epochs: 3, optimizer: {name: sgd, learning_rate: 0.1, momentum: 0.9}}
"""
STUDY = """\
study: tiny
data: {path: data.npz, holdout: 0.25}
seeds: [5]
target: {training_error: 0.4}
members:
  small: {spec: tiny.yaml}
  large: {spec: tiny.yaml, set: {hidden: 32}}
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 200)
    features = (random.standard_normal((200, 16)) + labels[:, None]).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=features, y=labels)
    (tmp_path / "tiny.yaml").write_text(NETWORK)
    (tmp_path / "study.yaml").write_text(STUDY)
    return tmp_path / "study.yaml"


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def weights(folder: Path) -> dict[str, bytes]:
    arrays: dict[str, np.ndarray[Any, Any]] = read_arrays(folder / "checkpoints" / "last.safetensors")[0]
    return {name: array.tobytes() for name, array in arrays.items()}


def test_it_trains_prints_a_table_and_does_not_repeat_finished_runs(netspec: Run, study: Path, tmp_path: Path) -> None:
    code, out, _ = netspec("study", study, "--out", tmp_path / "runs")
    assert code == 0
    folder = tmp_path / "runs" / "tiny"
    lines = out.splitlines()
    assert [line for line in lines if line.endswith(": tiny")] == ["small-seed5: tiny", "large-seed5: tiny"]
    table = (folder / "table.txt").read_text()
    assert table in out
    assert table.splitlines()[2].split()[:4] == ["member", "runs", "top-1", "error"]
    report = json.loads((folder / "table.json").read_text())
    assert [run["state"] for member in report["members"] for run in member["runs"]] == ["finished", "finished"]
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}
    code, again, _ = netspec("study", study, "--out", tmp_path / "runs")
    assert code == 0
    assert table in again
    assert "epoch      loss" not in again
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}


def test_stdout_is_json_alone(netspec: Run, study: Path, tmp_path: Path) -> None:
    options = ["--out", tmp_path / "runs", "--set", "training.epochs=1", "--seeds", "1,0,1", "--json"]
    code, out, _ = netspec("study", study, *options)
    assert code == 0
    report = json.loads(out)
    assert report == json.loads((tmp_path / "runs" / "tiny" / "table.json").read_text())
    assert report["seeds"] == [1, 0]
    assert [run["epoch"] for member in report["members"] for run in member["runs"]] == [1, 1, 1, 1]
    assert report["members"][1]["network"] == "tiny"


def test_a_member_that_fails_is_named_and_the_exit_code_is_1(netspec: Run, study: Path, tmp_path: Path) -> None:
    change(study, "small: {spec: tiny.yaml}", "small: {spec: tiny.yaml, set: {training.optimizer.learning_rate: 1e30}}")
    code, out, err = netspec("study", study, "--out", tmp_path / "runs")
    assert code == 1
    assert "error: small-seed5: " in err
    assert "error: 1 of the runs failed: small-seed5" in err
    assert "small-seed5: failed after 0 of 3 epochs: " in out
    assert [line.split()[:2] for line in (tmp_path / "runs/tiny/table.txt").read_text().splitlines()[3:5]] == [
        ["small", "0"],
        ["large", "1"],
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "large-seed6"], "the study has no run 'large-seed6'; did you mean 'large-seed5'?"),
        (["--seeds", "a"], "expected numbers separated by commas, received 'a'"),
        (["--backend", "tourch"], "did you mean torch?"),
        (["--set", "hiden=3"], "did you mean 'hidden'?"),
    ],
)
def test_mistakes_of_the_command_line(netspec: Run, study: Path, arguments: list[str], message: str) -> None:
    code, _, err = netspec("study", study, *arguments)
    assert code == 2
    assert message in err


def test_missing_data_are_one_error(netspec: Run, study: Path, tmp_path: Path) -> None:
    code, out, err = netspec("study", study, "--data", tmp_path / "absent", "--out", tmp_path / "runs")
    assert (code, out, err) == (2, "", f"error: {tmp_path / 'absent'}: there is no such file or folder\n")
    assert not (tmp_path / "runs").exists()


def test_data_must_be_stated_by_the_study_or_the_command(netspec: Run, study: Path) -> None:
    change(study, "{path: data.npz, holdout: 0.25}", "{name: CIFAR-10}")
    code, _, err = netspec("study", study)
    assert code == 2
    assert "the study does not say where its data is: CIFAR-10; give it with --data" in err


def test_the_error_for_a_changed_network_names_the_run_to_remove(netspec: Run, study: Path, tmp_path: Path) -> None:
    out = tmp_path / "runs"
    assert netspec("study", study, "--out", out, "--only", "large-seed5", "--set", "training.epochs=1")[0] == 0
    change(study, "{hidden: 32}", "{hidden: 16}")
    code, _, err = netspec("study", study, "--out", out)
    assert code == 2
    assert f"{out}/tiny/large-seed5 is another run than the one asked for:\n  the network has changed" in err
    assert f"hint: remove {out}/tiny/large-seed5 and large-seed5.json" in err


def test_runs_with_other_settings_are_not_counted(netspec: Run, study: Path, tmp_path: Path) -> None:
    """A mean over runs of three epochs and of one tells nothing, and neither does a difference between them."""
    out = tmp_path / "runs"
    assert netspec("study", study, "--out", out, "--only", "small-seed5")[0] == 0
    code, printed, _ = netspec("study", study, "--out", out, "--only", "large-seed5", "--set", "training.epochs=1")
    assert code == 0
    assert "small-seed5: not counted, another run: training.epochs: 3 before, 1 now" in printed
    small, large = json.loads((out / "tiny" / "table.json").read_text())["members"]
    assert (small["error"], small["best_error"], large["against_first"]["top1"]) == (None, None, None)
    assert [(run["state"], run["differs"]) for run in small["runs"]] == [
        ("other", ["training.epochs: 3 before, 1 now"])
    ]
    assert large["error"]["runs"] == 1
    # A run that is to be trained for longer is no other run, but not finished.
    assert netspec("study", study, "--out", out, "--only", "small-seed5", "--set", "training.epochs=4")[0] == 0
    small, large = json.loads((out / "tiny" / "table.json").read_text())["members"]
    assert ([run["state"] for run in (*small["runs"], *large["runs"])]) == ["finished", "begun"]


def test_several_processes_give_the_weights_of_one(netspec: Run, study: Path, tmp_path: Path) -> None:
    code, out, err = netspec("study", study, "--out", tmp_path / "several", "--processes", 2, "--set", "hidden=4")
    assert (code, err) == (0, "")
    assert netspec("study", study, "--out", tmp_path / "one", "--set", "hidden=4")[0] == 0
    for name in ("small-seed5", "large-seed5"):
        folder = tmp_path / "several" / "tiny"
        assert f"{name}: {folder / name}.log" in out
        assert "epoch      loss" in (folder / f"{name}.log").read_text()
        assert weights(folder / name) == weights(tmp_path / "one" / "tiny" / name)


def test_a_process_that_fails_is_named(netspec: Run, study: Path, tmp_path: Path) -> None:
    change(study, "small: {spec: tiny.yaml}", "small: {spec: tiny.yaml, set: {training.optimizer.learning_rate: 1e30}}")
    code, out, err = netspec("study", study, "--out", tmp_path / "runs", "--processes", 1, "--only", "small-seed5")
    assert code == 1
    assert "error: small-seed5: " in err
    assert f"hint: {tmp_path}/runs/tiny/small-seed5.log has its output" in err
    assert "small-seed5: failed after 0 of 3 epochs: " in out


@pytest.mark.parametrize("processes", [[], ["--processes", "2"]])
def test_an_interrupted_study_can_be_continued(netspec: Run, study: Path, tmp_path: Path, processes: list[str]) -> None:
    """It is stopped during one run, while another may still be starting."""
    change(tmp_path / "tiny.yaml", "epochs: 3", "epochs: 40")
    out = tmp_path / "runs"
    running = Forked(["-m", "netspec", "study", str(study), "--out", str(out), *processes])
    name = _first_checkpoint(out / "tiny", running).parents[1].name
    running.send_signal(signal.SIGINT)
    printed, err = running.communicate(timeout=HANG)
    assert "stopped by SIGINT" in err  # though the processes got SIGTERM from it
    assert running.returncode == 128 + signal.SIGINT
    assert f"{name}: not finished" in printed
    report = json.loads((out / "tiny" / "table.json").read_text())
    assert "finished" not in {run["state"] for member in report["members"] for run in member["runs"]}
    assert netspec("study", study, "--out", out, "--only", name)[0] == 0
    lines = [json.loads(line) for line in (out / "tiny" / name / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["kind"] == "step"] == list(range(1, 40 * 15 + 1))
    assert sum(line["kind"] == "note" and line["text"].startswith("CPU") for line in lines) == 2  # in two parts


def _first_checkpoint(folder: Path, running: Forked) -> Path:
    def checkpoints() -> list[Path]:
        return list(folder.glob("*/checkpoints/last.safetensors"))

    wait_until(lambda: checkpoints() or running.returncode is not None, "the first checkpoint")
    assert running.returncode is None, running.communicate()
    return checkpoints()[0]
