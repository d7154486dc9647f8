"""A small spec, a photograph, and ways to run a command line in this process or in a new one."""

import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from netspec.cli.app import run
from tests.waiting import HANG

SMALL = """\
name: small
source: a test
input: {shape: [3, 9, 8], preprocessing: {resize_shorter_side: 12, mean: [127.5], std: [60.0]}}
parameters: {classes: 4}
published: {weights: 1000, neurons: 500}
layers:
  conv1: {op: conv2d, filters: 4, kernel_size: 3, padding: 1}
  relu1: {op: relu}
  conv2: {op: conv2d, filters: 4, kernel_size: 3, groups: 2}
  flat: {op: flatten}
  fc: {op: dense, units: "${classes}"}
"""

Run = Callable[..., tuple[int, str, str]]
Spec = Callable[..., Path]


@pytest.fixture
def write_spec(tmp_path: Path) -> Spec:
    """Return a function that writes the small spec with some of its text replaced."""

    def write(name: str = "small.yaml", **replacements: str) -> Path:
        text = SMALL
        for old, new in replacements.items():
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


@pytest.fixture
def small(write_spec: Spec) -> Path:
    return write_spec()


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    """An image of random colors, larger than the input of the small spec."""
    path = tmp_path / "photograph.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)).save(path)
    return path


@pytest.fixture
def netspec(capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs a command line in this process, and returns its exit code, stdout and stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def interruptible(*arguments: object) -> subprocess.Popen[str]:
    """Start Python with these arguments. SIGINT interrupts it, even if this process, a background job, ignores it."""
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509 # no threads here
    )


def process(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    """Run a command line in a new process."""
    command = [sys.executable, "-m", "netspec", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=HANG, check=False, **options)
