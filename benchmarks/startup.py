"""How long a command takes to start: against importing what it cannot do without.

Targets: `--help`, `check` and `show` at most 1.5 times the peer's time; a build for PyTorch little over PyTorch's own
import.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from paired import Pairs, alternate, print_table

SPECS = Path(__file__).parent.parent / "specs"
ALEXNET, LENET = str(SPECS / "alexnet.yaml"), str(SPECS / "lenet5.yaml")
CORE = "import pydantic, yaml, numpy"
COMMANDS = {
    "import BaseModel too": ("-c", "from pydantic import BaseModel; import yaml, numpy"),  # pydantic imports by need
    "netspec --help": ("-m", "netspec", "--help"),
    "netspec check alexnet": ("-m", "netspec", "check", ALEXNET),
    "netspec show alexnet": ("-m", "netspec", "show", ALEXNET),
}
# An installed package has its bytecode; a checkout has it from the second run on, unless this forbids it.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def python(*arguments: str) -> Callable[[], object]:
    """A fresh Python process."""
    return lambda: subprocess.run([sys.executable, *arguments], check=True, capture_output=True, env=ENVIRONMENT)


def builds(folder: str) -> list[Pairs]:
    """What a build for PyTorch costs where PyTorch is imported too, and the command, which does not need it."""
    torch = python("-c", "import torch")
    load = "import netspec; netspec.load({!r}).build('torch')"
    return [
        alternate("load lenet5, in memory", torch, python("-c", load.format(LENET)), pairs=7),
        alternate("load alexnet, in memory", torch, python("-c", load.format(ALEXNET)), pairs=7),
        alternate("netspec build lenet5", torch, command("build", LENET, folder), pairs=7),
        alternate("netspec build alexnet", torch, command("build", ALEXNET, folder), pairs=7),
    ]


def command(verb: str, spec: str, folder: str) -> Callable[[], object]:
    """`netspec build` into a folder of its own."""
    return python("-m", "netspec", verb, spec, "--backend", "torch", "--out", str(Path(folder) / Path(spec).stem))


def main() -> None:
    peer = python("-c", CORE)
    print_table(CORE, [alternate(name, peer, python(*arguments)) for name, arguments in COMMANDS.items()])
    with tempfile.TemporaryDirectory() as folder:
        print_table("import torch", builds(folder))


if __name__ == "__main__":
    main()
