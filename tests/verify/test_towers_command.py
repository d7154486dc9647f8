"""The processes of `netspec verify --parallel towers` end when the command is interrupted or killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.training.towers import ROOT, SPEC
from tests.waiting import HANG, is_running, wait_until


@pytest.fixture
def command(tmp_path: Path) -> subprocess.Popen[str]:
    """Run the command, which starts processes of its own."""
    spec = tmp_path / "small.yaml"
    spec.write_text(SPEC)
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return subprocess.Popen(
        [sys.executable, "-m", "netspec", "verify", str(spec), "--parallel", "towers"],
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_ctrl_c_ends_the_processes_too(command: subprocess.Popen[str]) -> None:
    """At the time of the signal, one of them hangs, and the other waits for it."""
    towers = _towers_that_have_met(command)
    os.kill(towers[1], signal.SIGSTOP)
    time.sleep(1.0)  # the other finishes its step and waits
    os.killpg(command.pid, signal.SIGINT)  # as a terminal does
    out, errors = command.communicate(timeout=HANG)
    assert (out, command.returncode) == ("", 128 + signal.SIGINT)
    assert "Traceback" not in errors
    assert [tower for tower in towers if is_running(tower)] == []


def test_the_processes_end_when_the_command_is_killed(command: subprocess.Popen[str]) -> None:
    towers = _towers_that_have_met(command)
    command.kill()
    command.communicate()
    wait_until(lambda: not any(map(is_running, towers)), "the end of the towers")


def _towers_that_have_met(process: subprocess.Popen[str]) -> list[int]:
    """Wait until the two processes of the command have met, and return their ids."""
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    towers: list[int] = []

    def have_met() -> bool:
        assert process.poll() is None, process.communicate()
        towers[:] = sorted(child for child in map(int, listed.read_text().split()) if _has_met_another(child))
        return len(towers) == 2

    wait_until(have_met, "the meeting of the towers")
    return towers


def _has_met_another(child: int) -> bool:
    """Whether a process has the connections that gloo makes when processes meet."""
    try:
        links = [str(link.readlink()) for link in Path(f"/proc/{child}/fd").iterdir()]
    except OSError:  # the process has ended, or has just closed a file
        return False
    return sum(link.startswith("socket:") for link in links) >= 3
