"""How long a command takes to start, as a ratio to importing pydantic, yaml and numpy: pairs that alternate."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

PEER = ("-c", "import pydantic, yaml, numpy")
ALEXNET = str(Path(__file__).parent.parent / "specs" / "alexnet.yaml")
COMMANDS = {
    "netspec --help": ("-m", "netspec", "--help"),
    "netspec check alexnet": ("-m", "netspec", "check", ALEXNET),
    "netspec show alexnet": ("-m", "netspec", "show", ALEXNET),
}
PAIRS = 15


def seconds(arguments: tuple[str, ...]) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    print(f"{'command':24}{'peer ms':>10}{'own ms':>10}{'ratio':>8}")
    for name, arguments in COMMANDS.items():
        seconds(PEER), seconds(arguments)  # the first run writes bytecode and fills the file cache
        pairs = [(seconds(PEER), seconds(arguments)) for _ in range(PAIRS)]
        peer, own = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(own / peer for peer, own in pairs)
        print(f"{name:24}{peer * 1e3:10.0f}{own * 1e3:10.0f}{ratio:8.2f}")


if __name__ == "__main__":
    main()
