"""Runs `netspec train --parallel towers` in processes that train together."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from netspec.cli.app import run
from tests.forked import Forked
from tests.waiting import HANG

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
    """Return the arguments of `netspec train` for a run of this name beside the spec."""
    return ["train", str(spec), "--out", str(spec.parent), "--name", name, *options]


def train(spec: Path, name: str, *options: str, processes: int = 1) -> subprocess.CompletedProcess[str]:
    """Run the command to its end in several processes that train together, and join what they write."""
    running = start([["-m", "netspec", *arguments(spec, name, *options)]] * processes)
    try:
        streams = [process.communicate(timeout=HANG) for process in running]
    finally:
        for process in running:
            process.kill()
    code = next((process.returncode for process in running if process.returncode), 0)
    return subprocess.CompletedProcess([*options], code, *map("".join, zip(*streams, strict=True)))


def losses(spec: Path, name: str) -> list[float]:
    """Return the loss of each step of a run."""
    lines = map(json.loads, (spec.parent / name / "metrics.jsonl").read_text().splitlines())
    return [line["loss"] for line in lines if line["kind"] == "step"]


def train_in_keras(spec: Path, name: str, *options: str) -> None:
    """Run the command with Keras in this process, which has imported TensorFlow already."""
    assert run([*arguments(spec, name, "--backend", "keras", *options)]) == 0


def start(commands: Sequence[Sequence[str]]) -> list[Forked]:
    """Start a process for each command. Several meet as those of torchrun do, but nobody ends them."""
    if len(commands) == 1:
        return [Forked(commands[0])]
    port = reserved_port()
    world = {"WORLD_SIZE": str(len(commands)), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port.getsockname()[1])}
    return [
        Forked(command, world | {"RANK": str(rank), "LOCAL_RANK": str(rank)}, port)
        for rank, command in enumerate(commands)
    ]


def reserved_port() -> socket.socket:
    """Return a socket bound to a free port of this machine, on which nobody listens.

    While it is open, the system gives the port to no program that asks for any port. A program that asks for this one
    and, like PyTorch, sets SO_REUSEADDR can listen on it.
    """
    port = socket.socket()
    port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    port.bind(("127.0.0.1", 0))
    return port
