"""One of several processes that train together fails: the others stop, report it once, and leave no partial files."""

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
from tests.waiting import HANG, wait_until

FAILING = str(Path(__file__).with_name("failing_tower.py"))
LONG = ("--set", "training.steps=1000000", "--set", "training.batch_size=8", "--checkpoint-every", "5")
TIMEOUT = 6  # seconds that a process waits for one that hangs, and at most for one that starts or saves
MOMENT = 15  # seconds within which a process that has noticed a failure ends, on a busy machine


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SPEC)
    images = np.random.default_rng(0).integers(0, 256, (320, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "images.npz", x=images, y=np.arange(len(images)) % 10)
    return path


def on_images(spec: Path) -> tuple[str, str]:
    """Return the option for data other than `digits`, for which a process that is no fork would import scikit-learn."""
    return ("--data", str(spec.parent / "images.npz"))


def assert_whole_and_goes_on(spec: Path, name: str) -> None:
    """Assert that no file is half-written, and that one device can continue from the checkpoint."""
    folder = spec.parent / name
    assert not list(folder.rglob(".*"))
    _, metadata = read_arrays(folder / "checkpoints" / "last.safetensors")
    step = metadata["position"]["step"]
    assert step > 0
    more = ("--set", "training.batch_size=8", "--set", f"training.steps={step + 2}", "--checkpoint-every", "5")
    resumed = train(spec, name, *more, *on_images(spec), "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert read_arrays(folder / "checkpoints" / "last.safetensors")[1]["position"]["step"] == step + 2


def torchrun(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a program under torchrun to its end: the number of processes, the script, its arguments."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*TORCHRUN, *words], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=HANG, check=False
    )


def test_when_one_of_four_processes_is_killed_each_other_reports_it_once(spec: Path) -> None:
    """The processes are a mesh of two ranks by two towers. After their errors, torchrun prints its own."""
    finished = torchrun("4", FAILING, "SIGKILL", *arguments(spec, "killed", *LONG, *TOWERS, *on_images(spec)))
    assert finished.returncode != 0
    for number in (0, 2, 3):
        assert finished.stderr.count(f"error: process {number} of 4 lost the others: ") == 1, finished.stderr
    assert finished.stderr.count("Traceback (most recent call last)") == 1  # torchrun's own
    assert_whole_and_goes_on(spec, "killed")


def torchrun_with_a_checkpoint(spec: Path, name: str) -> subprocess.Popen[str]:
    """Start a long run of two towers under torchrun, and wait for its first checkpoint."""
    command = [*TORCHRUN, "2", "-m", "netspec", *arguments(spec, name, *LONG, *TOWERS, *on_images(spec))]
    running = subprocess.Popen(
        command, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE, text=True
    )
    checkpoint = spec.parent / name / "checkpoints" / "last.safetensors"
    wait_until(lambda: checkpoint.exists() or running.poll() is not None, "the first checkpoint")
    return running


def test_a_run_that_torchrun_ends_says_once_how_to_go_on(spec: Path) -> None:
    """torchrun passes SIGTERM on to each of its processes, which leave together, between two steps."""
    running = torchrun_with_a_checkpoint(spec, "ended")
    running.terminate()
    _, errors = running.communicate(timeout=HANG)
    assert errors.count("stopped by SIGTERM after step ") == 1, errors
    assert errors.count(f"to go on: torchrun --nproc-per-node 2 -m netspec train {spec} ") == 1
    assert "error: " not in errors
    assert_whole_and_goes_on(spec, "ended")


def test_the_processes_of_a_torchrun_that_is_killed_stop_with_a_checkpoint(spec: Path) -> None:
    """Nobody is left to end them. They share its stderr, which is read until all of them have closed it."""
    running = torchrun_with_a_checkpoint(spec, "orphans")
    running.kill()
    _, errors = running.communicate(timeout=HANG)
    assert errors.count("stopped by SIGTERM after step ") == 1, errors
    assert "error: " not in errors
    assert_whole_and_goes_on(spec, "orphans")


def test_a_process_that_waits_for_one_that_never_comes_ends_with_torchrun(spec: Path) -> None:
    """The first process waits within PyTorch, where Python runs no signal handler."""
    finished = torchrun("2", FAILING, "start", *arguments(spec, "alone", *TOWERS, *on_images(spec)))
    assert finished.returncode != 0
    errors = finished.stderr
    assert errors.count("process 0 was ended while it waited") + errors.count("process 0 of 2 lost") == 1, errors
    assert "(SIGKILL)" not in errors.partition("rank      : 0")[2].partition("Root Cause")[0]  # it ended before that
    assert not (spec.parent / "alone").exists()


@pytest.mark.parametrize("failure", ["mesh", "wrap"])
def test_one_that_is_killed_before_the_first_step_is_not_waited_for_longer(spec: Path, failure: str) -> None:
    """Two of the others form a group with it, and the third a group with them."""
    processes = start([[FAILING, failure, *arguments(spec, "begun", *TOWERS, "--timeout", str(TIMEOUT))]] * 4)
    for number in (0, 2, 3):
        _, told = processes[number].communicate(timeout=HANG)
        assert processes[number].returncode == 2, told
        assert told.count("error: ") == told.count(f"error: process {number} of 4 ") == 1, told
    assert not list(spec.parent.rglob("*.safetensors"))


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        ("group", "error: the 2 processes that are to train together did not meet at 127.0.0.1:"),
        ("groups", "error: process 1 of 2 waited 1 s for the others in vain: "),
    ],
)
def test_a_first_process_that_is_suspended_while_they_meet_is_not_waited_for_without_end(
    spec: Path, failure: str, expected: str
) -> None:
    """The store at which they meet is in the first process, and PyTorch's question to it has no time limit."""
    suspended, other = start([[FAILING, failure, *arguments(spec, "met", *TOWERS, "--timeout", "1")]] * 2)
    try:
        _, told = other.communicate(timeout=HANG)
    finally:
        suspended.kill()
        suspended.wait()
    assert other.returncode == 2, told
    assert told.count("error: ") == told.count(expected) == told.count("no answer within 2 s") == 1, told
    assert "Traceback" not in told
    assert not (spec.parent / "met").exists()


def test_a_process_that_hangs_is_waited_for_until_the_timeout(spec: Path) -> None:
    """Nobody ends the others: both of its neighbors in the mesh time out, or lose one that has timed out."""
    options = (*LONG, *TOWERS, *on_images(spec), "--timeout", str(TIMEOUT))
    processes = start([[FAILING, "SIGSTOP", *arguments(spec, "hung", *options)]] * 4)
    first, hung, *others = processes
    try:
        last_running = _wait_until_stopped(hung)
        latest = time.monotonic() + TIMEOUT + MOMENT
        left = {0: first, 2: others[0], 3: others[1]}
        errors = {number: process.communicate(latest - time.monotonic())[1] for number, process in left.items()}
        assert time.monotonic() - last_running >= TIMEOUT - 1  # they may wait since the step before it stopped
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert [process.returncode for process in left.values()] == [2, 2, 2], errors
    for number, text in errors.items():
        assert text.count("error: ") == text.count(f"error: process {number} of 4 ") == 1, text
        assert "Traceback" not in text
    assert any(f"waited {TIMEOUT} s for the others in vain: " in text for text in errors.values())
    assert_whole_and_goes_on(spec, "hung")


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_process_that_gets_a_signal_stops_the_others_too(spec: Path, stop: signal.Signals) -> None:
    """The signal goes to the second process, and the first is the one that prints."""
    processes = start([[FAILING, stop.name, *arguments(spec, "stopped", *LONG, *TOWERS, *on_images(spec))]] * 2)
    errors = [process.communicate(timeout=HANG)[1] for process in processes]
    assert [process.returncode for process in processes] == [128 + stop, 0], errors
    assert f"stopped by {stop.name} after step " in errors[0]
    assert "error: " not in "".join(errors)
    assert_whole_and_goes_on(spec, "stopped")


def _wait_until_stopped(process: Forked) -> float:
    """Wait until SIGSTOP has stopped a process, and return a time at which it had not stopped yet."""
    last_running = time.monotonic()

    def has_stopped() -> bool:
        nonlocal last_running
        now = time.monotonic()
        assert process.returncode is None, process.communicate()
        if "State:\tT (stopped)" in Path(f"/proc/{process.pid}/status").read_text():
            return True
        last_running = now
        return False

    wait_until(has_stopped, "SIGSTOP")
    return last_running


@pytest.mark.parametrize(
    ("failure", "other", "expected"),
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
def test_processes_that_differ_all_stop_before_anything_is_written(
    spec: Path, failure: str, other: tuple[str, ...], expected: list[str]
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
        _, errors = process.communicate(timeout=HANG)
        assert process.returncode == 2
        assert errors.count("error: the 2 processes are not alike in ") == 1
        assert [part for part in expected if part not in errors] == []
        assert "Traceback" not in errors
    assert not (spec.parent / "run").exists()
