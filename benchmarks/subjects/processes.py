"""What begins with a fresh Python: commands, and a model that is built and given its weights."""

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

# An installed package has its bytecode; a checkout has it from the second run on, unless this forbids it.
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
    """A fresh process, from its start to its end."""

    def run() -> None:
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True, env=ENVIRONMENT)

    return run


def command(arguments: list[str]) -> Callable[[], None]:
    """`netspec` with these arguments."""
    return python("-m", "netspec", *arguments)


def code(text: str) -> Callable[[], None]:
    """A line of Python."""
    return python("-c", text)


def construct(imports: str, action: str) -> Callable[[], float]:
    """What an action takes in a fresh process after the imports; `{file}` and `{spec}` in it are AlexNet's."""
    network = load("alexnet")
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)  # and so it stays as long as the process
    file = save_weights(Path(folder.name) / "alexnet.safetensors", network.graph, weights_of(network))
    spec = str(SPECS / "alexnet.yaml")
    action = action.format(file=repr(str(file)), spec=repr(spec))
    source = CLOCK.format(benchmarks=str(Path(__file__).parents[1]), imports=imports, action=action)

    def run() -> float:
        done = subprocess.run([sys.executable, "-c", source], check=True, capture_output=True, text=True)
        return float(done.stdout)

    return run


def hand_built() -> Callable[[], float]:
    """Construct, initialise by default, load."""
    return construct(
        imports="import torch\nfrom safetensors.torch import load_file\nfrom peers.alexnet_torch import AlexNet",
        action="model = AlexNet()\nmodel.load_state_dict(load_file({file}))",
    )


def own_built() -> Callable[[], float]:
    """Read the spec, emit, execute, load."""
    return construct(
        imports="import torch, netspec, netspec.api, netspec_torch.model",
        action="model = netspec.load({spec}).build('torch', {file}).native",
    )
