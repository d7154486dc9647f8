"""`netspec train --parallel towers`: it equals the run on one device, also its checkpoints; and what it refuses.

Runs are in float32, and each step multiplies the rounding of the one before: at 24 steps two losses were seen to differ
by 1.4e-4. It is rounding: in float64 24 steps of this network by this rule differ by less than 1e-10, seen 2e-14
(`test_torch_towers`, as `command`).
"""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.training import towers
from tests.training.towers import SPEC, TOWERS, losses


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SPEC)
    return path


def train(spec: Path, name: str, *options: str, processes: int = 1) -> subprocess.CompletedProcess[str]:
    """Train with the dropout masks that one device and several share."""
    return towers.train(spec, name, "--exact", *options, processes=processes)


def state(spec: Path, name: str) -> dict[str, np.ndarray]:
    return load_file(spec.parent / name / "checkpoints" / "last.safetensors")


def assert_same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-3, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("processes", [2, 4])
def test_a_run_in_towers_is_the_run_on_one_device(spec: Path, processes: int) -> None:
    """Complete checkpoints, losses, and one report; four processes are a mesh of two ranks by two towers."""
    for name, count, options in (("one", 1, ()), ("many", processes, TOWERS)):
        finished = train(spec, name, *options, processes=count)
        assert finished.returncode == 0, finished.stderr
        assert finished.stdout.count("✓") == 1
    np.testing.assert_allclose(losses(spec, "many"), losses(spec, "one"), rtol=1e-4)
    assert_same(state(spec, "many"), state(spec, "one"))
    assert (spec.parent / "many" / "report.html").exists()


def test_a_run_continues_in_towers_on_one_device_and_in_keras(spec: Path) -> None:
    assert train(spec, "whole", "--set", "training.steps=12").returncode == 0
    four = (*TOWERS, "--set", "placement.towers=4")  # two towers for each group of conv2
    parts: tuple[tuple[int, int, tuple[str, ...]], ...] = ((3, 2, TOWERS), (6, 1, ()), (9, 4, four))
    for steps, processes, options in parts:
        more = ("--resume",) if steps > 3 else ()
        finished = train(spec, "parts", "--set", f"training.steps={steps}", *options, *more, processes=processes)
        assert finished.returncode == 0, finished.stderr
    towers.train_in_keras(spec, "parts", "--exact", "--resume", "--set", "training.steps=12")
    assert_same(state(spec, "parts"), state(spec, "whole"))


def test_another_number_of_processes_is_refused(spec: Path) -> None:
    finished = train(spec, "three", "--parallel", "towers", processes=3)
    assert finished.returncode != 0
    assert "the network lies on 2 towers, and 3 processes would train it" in finished.stderr
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
