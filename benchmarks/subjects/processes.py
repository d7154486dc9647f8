"""Workloads in a fresh Python process: commands, and the construction of AlexNet with its weights."""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from netspec.weights import save_weights
from subjects.networks import SPECS, load, weights_of

# Without bytecode files, each process would compile netspec, which an installed package does not.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
CLOCK = """
import sys, time
sys.path.insert(0, {benchmarks!r})
{imports}
start = time.perf_counter()
{action}
print(time.perf_counter() - start)
"""


def python(*arguments: str) -> Callable[[], None]:
    """Return a subject that runs a Python process to its end."""

    def run() -> None:
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True, env=ENVIRONMENT)

    return run


def command(arguments: list[str]) -> Callable[[], None]:
    """Run `netspec` with these arguments."""
    return python("-m", "netspec", *arguments)


def code(text: str) -> Callable[[], None]:
    """Run a line of Python."""
    return python("-c", text)


def construct(imports: str, action: str) -> Callable[[], float]:
    """Return a subject that reports the time of an action in a fresh process, without that of the imports.

    Args:
        imports: statements that are not timed.
        action: statements that are timed; `{file}` and `{spec}` stand for the weights and the spec of AlexNet.
    """
    network = load("alexnet")
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)  # keeps the folder until the process ends
    file = save_weights(Path(folder.name) / "alexnet.safetensors", network.graph, weights_of(network))
    spec = str(SPECS / "alexnet.yaml")
    action = action.format(file=repr(str(file)), spec=repr(spec))
    source = CLOCK.format(benchmarks=str(Path(__file__).parents[1]), imports=imports, action=action)

    def run() -> float:
        done = subprocess.run([sys.executable, "-c", source], check=True, capture_output=True, text=True)
        return float(done.stdout)

    return run


def hand_written_model() -> Callable[[], float]:
    """Construct the hand-written module, which initialises it, and load its weights."""
    return construct(
        imports="import torch\nfrom safetensors.torch import load_file\nfrom peers.alexnet_torch import AlexNet",
        action="model = AlexNet()\nmodel.load_state_dict(load_file({file}))",
    )


def netspec_model() -> Callable[[], float]:
    """Read the spec, emit the source, execute it, and load the weights."""
    return construct(
        imports="import torch, netspec, netspec.api, netspec_torch.model",
        action="model = netspec.load({spec}).build('torch', {file}).native",
    )
