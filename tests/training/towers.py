"""Command lines of `netspec train --parallel towers`, and the processes that they become."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from netspec.cli.app import run
from tests.forked import Forked

ROOT = Path(__file__).parents[2]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
TOWERS = ("--parallel", "towers")
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


def arguments(spec: Path, name: str, *options: str) -> list[str]:
    """Of `netspec train`, into a folder of that name beside the spec."""
    return ["train", str(spec), "--out", str(spec.parent), "--name", name, *options]


def train(spec: Path, name: str, *options: str, processes: int = 1) -> subprocess.CompletedProcess[str]:
    """The command, in as many processes as are to train together, until each has ended; their streams as one."""
    running = start([["-m", "netspec", *arguments(spec, name, *options)]] * processes)
    try:
        told = [process.communicate(timeout=240) for process in running]
    finally:
        for process in running:
            process.kill()
    code = next((process.returncode for process in running if process.returncode), 0)
    return subprocess.CompletedProcess([*options], code, *("".join(streams) for streams in zip(*told, strict=True)))


def train_in_keras(spec: Path, name: str, *options: str) -> None:
    """The command by Keras, in this process, which has imported TensorFlow."""
    assert run([*arguments(spec, name, "--backend", "keras", *options)]) == 0


def start(commands: Sequence[Sequence[str]]) -> list[Forked]:
    """A process a command; several find one another as torchrun's do, with nobody who ends them."""
    if len(commands) == 1:
        return [Forked(commands[0])]
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = str(listener.getsockname()[1])
    world = {"WORLD_SIZE": str(len(commands)), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return [
        Forked(command, world | {"RANK": str(rank), "LOCAL_RANK": str(rank)}) for rank, command in enumerate(commands)
    ]
