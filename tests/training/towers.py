"""Command lines of `netspec train --parallel towers`, and the processes that they become."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

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
    """The command, under torchrun where there are several processes, until it has ended."""
    launcher = [*TORCHRUN, str(processes)] if processes > 1 else [sys.executable]
    return subprocess.run(
        [*launcher, "-m", "netspec", *arguments(spec, name, *options)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def start(commands: Sequence[Sequence[str]]) -> list[subprocess.Popen[str]]:
    """A process a command, which find one another as torchrun's do, with nobody who ends them."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = str(listener.getsockname()[1])
    world = {"WORLD_SIZE": str(len(commands)), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
    return [
        subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env=os.environ | world | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank, command in enumerate(commands)
    ]
