"""One of the processes that train together fails: the others stop, say so once, and leave nothing half-written."""

import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from netspec.weights import read_arrays
from tests.forked import Forked
from tests.training.towers import ROOT, SPEC, TORCHRUN, TOWERS, arguments, start, train

FAILING = str(Path(__file__).with_name("failing_tower.py"))
LONG = ("--set", "training.steps=1000000", "--set", "training.batch_size=8", "--checkpoint-every", "5")
TIMEOUT = 3  # seconds that a process waits for one that hangs
MOMENT = 15  # seconds in which a process that knows that it is to stop has stopped, on a machine that does other things


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SPEC)
    return path


def assert_whole_and_goes_on(spec: Path, name: str) -> None:
    """No half-written file, and a checkpoint that one device goes on from."""
    folder = spec.parent / name
    assert not list(folder.rglob(".*"))
    _, metadata = read_arrays(folder / "checkpoints" / "last.safetensors")
    step = metadata["position"]["step"]
    assert step > 0
    more = ("--set", "training.batch_size=8", "--set", f"training.steps={step + 2}", "--checkpoint-every", "5")
    resumed = train(spec, name, *more, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert read_arrays(folder / "checkpoints" / "last.safetensors")[1]["position"]["step"] == step + 2


def test_of_four_processes_under_torchrun_one_is_killed(spec: Path) -> None:
    """A mesh of two ranks by two towers; torchrun has the last word, and each that is left says one thing before."""
    command = [*TORCHRUN, "4", FAILING, "SIGKILL", *arguments(spec, "killed", *LONG, *TOWERS)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    finished = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert finished.returncode != 0
    for number in (0, 2, 3):
        assert finished.stderr.count(f"error: process {number} of 4 lost the others: ") == 1, finished.stderr
    assert finished.stderr.count("Traceback (most recent call last)") == 1  # torchrun's own
    assert_whole_and_goes_on(spec, "killed")


def test_what_torchrun_ends_says_once_how_to_go_on(spec: Path) -> None:
    """SIGTERM to torchrun comes to each of its processes: they leave together, between two steps."""
    command = [*TORCHRUN, "2", "-m", "netspec", *arguments(spec, "ended", *LONG, *TOWERS)]
    running = subprocess.Popen(
        command, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE, text=True
    )
    checkpoint = spec.parent / "ended" / "checkpoints" / "last.safetensors"
    for _ in range(1200):
        if checkpoint.exists():
            break
        time.sleep(0.1)
    running.terminate()
    _, told = running.communicate(timeout=60)
    assert told.count("stopped by SIGTERM after step ") == 1, told
    assert told.count(f"to go on: torchrun --nproc-per-node 2 -m netspec train {spec} ") == 1
    assert "error: " not in told
    assert_whole_and_goes_on(spec, "ended")


def test_one_that_never_comes_is_not_waited_for_once_torchrun_ends_the_others(spec: Path) -> None:
    """The first waits within PyTorch, where no handler of Python's is heard."""
    command = [*TORCHRUN, "2", FAILING, "start", *arguments(spec, "alone", *TOWERS)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    finished = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert finished.returncode != 0
    told = finished.stderr
    assert told.count("process 0 was ended while it waited") + told.count("error: process 0 of 2 lost") == 1, told
    assert "(SIGKILL)" not in told.partition("rank      : 0")[2].partition("Root Cause")[0]  # torchrun had not to
    assert not (spec.parent / "alone").exists()


@pytest.mark.parametrize("failure", ["mesh", "wrap"])
def test_one_that_is_killed_before_the_first_step_is_not_waited_for_any_longer(spec: Path, failure: str) -> None:
    """Two of the others form a group with it, and the third a group with them."""
    processes = start([[FAILING, failure, *arguments(spec, "begun", *TOWERS, "--timeout", str(TIMEOUT))]] * 4)
    for number in (0, 2, 3):
        _, told = processes[number].communicate(timeout=120)
        assert processes[number].returncode == 2, told
        assert told.count("error: ") == told.count(f"error: process {number} of 4 ") == 1, told
    assert not list(spec.parent.rglob("*.safetensors"))


def test_a_process_that_hangs_is_waited_for_as_long_as_was_said(spec: Path) -> None:
    """Nobody ends the others: both of its neighbors in the mesh time out, or lose one that has."""
    options = (*LONG, *TOWERS, "--timeout", str(TIMEOUT))
    processes = start([[FAILING, "SIGSTOP", *arguments(spec, "hung", *options)]] * 4)
    first, hung, *others = processes
    try:
        _wait_until_stopped(hung)
        stopped = time.monotonic()
        left = {0: first, 2: others[0], 3: others[1]}
        told = {number: process.communicate(timeout=TIMEOUT + MOMENT)[1] for number, process in left.items()}
        assert TIMEOUT - 1 <= time.monotonic() - stopped <= TIMEOUT + MOMENT
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert [process.returncode for process in left.values()] == [2, 2, 2], told
    for number, text in told.items():
        assert text.count("error: ") == text.count(f"error: process {number} of 4 ") == 1, text
        assert "Traceback" not in text
    assert any(f"waited {TIMEOUT} s for the others in vain: " in text for text in told.values())
    assert_whole_and_goes_on(spec, "hung")


def test_one_that_is_told_to_stop_takes_the_others_along(spec: Path) -> None:
    """By a signal to it alone, which is not the one that is heard."""
    processes = start([[FAILING, "SIGTERM", *arguments(spec, "told", *LONG, *TOWERS)]] * 2)
    told = [process.communicate(timeout=240) for process in processes]
    assert [process.returncode for process in processes] == [128 + signal.SIGTERM, 0], told
    assert "stopped by SIGTERM after step " in told[0][1]
    assert "error: " not in told[0][1] + told[1][1]
    assert_whole_and_goes_on(spec, "told")


def _wait_until_stopped(process: Forked) -> None:
    for _ in range(4500):
        assert process.returncode is None, process.communicate()
        if "State:\tT (stopped)" in Path(f"/proc/{process.pid}/status").read_text():
            return
        time.sleep(0.02)
    pytest.fail("it did not stop")


@pytest.mark.parametrize(
    ("failure", "other", "said"),
    [
        (
            "versions",
            ("--set", "training.batch_size=32", "--set", "training.seed=3", "--checkpoint-every", "7"),
            [
                *("netspec (", "0.0.1 in process 1)", "PyTorch (", "1.13.1 in process 1)"),
                *("training.batch_size (64 in process 0, 32 in process 1)", "training.seed (0 in process 0, 3 in "),
                *(
                    "the initial weights (",
                    "the data (",
                    "--checkpoint-every (1000 in process 0, 7 in process 1)",
                ),
            ],
        ),
        ("none", ("--parallel", "data"), ["the towers (2 in process 0, 1 in process 1)", "the network ("]),
    ],
)
def test_processes_that_are_not_alike_all_stop_before_anything_is_written(
    spec: Path, failure: str, other: tuple[str, ...], said: list[str]
) -> None:
    random = np.random.default_rng(0)
    for name in ("one.npz", "other.npz"):
        np.savez(spec.parent / name, x=random.integers(0, 256, (90, 8, 8), dtype=np.uint8), y=np.arange(90) % 10)
    commands = [
        [FAILING, failure, *arguments(spec, "run", *TOWERS, "--data", str(spec.parent / name))]
        for name in ("one.npz", "other.npz")
    ]
    processes = start([commands[0], [*commands[1], *other]])
    for process in processes:
        _, told = process.communicate(timeout=120)
        assert process.returncode == 2
        assert told.count("error: the 2 processes are not alike in ") == 1
        assert [part for part in said if part not in told] == []
        assert "Traceback" not in told
    assert not (spec.parent / "run").exists()
