"""A small spec, and ways to run a command line in this process or in a new one."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from netspec.cli.app import run

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
def netspec(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Return a function that runs a command line in this process, and returns its exit code, stdout and stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def process(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    """Run a command line in a new process."""
    command = [sys.executable, "-m", "netspec", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **options)
