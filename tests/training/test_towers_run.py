"""`netspec train --parallel towers` under torchrun: the run of one device, its checkpoints, and how it refuses.

Runs are in float32, whose rounding grows from step to step; `test_torch_towers` has the proof in float64.
"""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

ROOT = Path(__file__).parents[2]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
SPEC = """\
name: small
input: {shape: [1, 8, 8], preprocessing: {channel_order: gray, scale: 0.1}}
placement: {towers: 2}
layers:
  conv1: {op: conv2d, filters: 8, kernel_size: 3, padding: 1}
  norm1: {op: batch_norm}
  relu1: {op: relu}
  conv2: {op: conv2d, filters: 8, kernel_size: 3, groups: 2}
  relu2: {op: relu}
  flatten: {op: flatten}
  fc1: {op: dense, units: 16}
  drop1: {op: dropout, rate: 0.3}
  fc2: {op: dense, units: 9}
  drop2: {op: dropout, rate: 0.1}
  fc3: {op: dense, units: 10}
training:
  batch_size: 64
  steps: 12
  optimizer: {name: sgd, learning_rate: 0.05, momentum: 0.9, weight_decay: 0.001}
  clip_gradient_norm: 1.0
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SPEC)
    return path


def train(spec: Path, name: str, *options: str, processes: int = 1) -> subprocess.CompletedProcess[str]:
    launcher = [*TORCHRUN, str(processes)] if processes > 1 else [sys.executable]
    command = [*launcher, "-m", "netspec", "train", str(spec), "--out", str(spec.parent), "--name", name, "--exact"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*command, *options], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False
    )


def state(spec: Path, name: str) -> dict[str, np.ndarray]:
    return load_file(spec.parent / name / "checkpoints" / "last.safetensors")


def assert_same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-3, atol=1e-4, err_msg=name)


def losses(spec: Path, name: str) -> list[float]:
    lines = map(json.loads, (spec.parent / name / "metrics.jsonl").read_text().splitlines())
    return [line["loss"] for line in lines if line["kind"] == "step"]


@pytest.mark.parametrize("processes", [2, 4])
def test_a_run_in_towers_is_the_run_on_one_device(spec: Path, processes: int) -> None:
    """Whole checkpoints, the losses, one report; with four processes as a mesh of two ranks by two towers."""
    for name, count, options in (("one", 1, ()), ("many", processes, ("--parallel", "towers"))):
        finished = train(spec, name, *options, processes=count)
        assert finished.returncode == 0, finished.stderr
        assert finished.stdout.count("✓") == 1
    np.testing.assert_allclose(losses(spec, "many"), losses(spec, "one"), rtol=1e-4)
    assert_same(state(spec, "many"), state(spec, "one"))
    assert (spec.parent / "many" / "report.html").exists()


def test_a_run_goes_on_in_towers_on_one_device_and_in_keras(spec: Path) -> None:
    towers = ("--parallel", "towers")
    assert train(spec, "whole", "--set", "training.steps=12").returncode == 0
    parts: tuple[tuple[int, int, tuple[str, ...]], ...] = (
        (3, 2, towers),
        (6, 1, ()),
        (9, 2, towers),
        (12, 1, ("--backend", "keras")),
    )
    for steps, processes, options in parts:
        more = ("--resume",) if steps > 3 else ()
        finished = train(spec, "parts", "--set", f"training.steps={steps}", *options, *more, processes=processes)
        assert finished.returncode == 0, finished.stderr
    assert_same(state(spec, "parts"), state(spec, "whole"))


def test_another_number_of_processes_is_refused(spec: Path) -> None:
    finished = train(spec, "three", "--parallel", "towers", processes=3)
    assert finished.returncode != 0
    assert "the network lies on 2 towers, and processes to train it are 3" in finished.stderr
    assert not (spec.parent / "three").exists()
    alone = train(spec, "alone", "--parallel", "towers")
    assert "torchrun --nproc-per-node 2" in alone.stderr


def test_keras_and_a_spec_without_placement_are_refused(spec: Path) -> None:
    assert (
        "keras backend trains no network in towers"
        in train(spec, "keras", "--parallel", "towers", "--backend", "keras").stderr
    )
    spec.write_text(SPEC.replace("placement: {towers: 2}\n", ""))
    assert "small has no placement" in train(spec, "none", "--parallel", "towers").stderr


@pytest.mark.parametrize("other", ["training.batch_size=32", "training.seed=3"])
def test_processes_with_different_specs_all_stop_before_anything_is_written(spec: Path, other: str) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = str(listener.getsockname()[1])
    command = [sys.executable, "-m", "netspec", "train", str(spec), "--out", str(spec.parent), "--name", "run"]
    shared = os.environ | {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [*command, "--parallel", "towers", *(("--set", other) if rank else ())],
            cwd=ROOT,
            env=shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for process in processes:
        _, told = process.communicate(timeout=120)
        assert process.returncode == 2
        assert told.count("the 2 processes are not alike in the recipe") == 1
    assert not (spec.parent / "run").exists()
