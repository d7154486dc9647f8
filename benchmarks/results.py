"""Reads and writes RESULTS.md: one table with the last result of each row."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from measure import Measured

PATH = Path(__file__).parent / "RESULTS.md"
PACKAGES = ("torch", "tensorflow", "keras", "onnxruntime", "numpy")
HEAD = ("measured", "against", "ratio", "middle half", "target", "met", "on")
INTRODUCTION = """# What was measured

The last result of each row, written by `make bench-keep`. Netspec and a peer are measured in alternation, in pairs: a
ratio is the time or peak memory of netspec divided by that of the peer in the same pair. The table has the median of
the ratios and the range of their middle half. A ratio above its target is within noise if that range reaches the
target. Machines differ: compare only ratios from the same machine.
"""


class Last(NamedTuple):
    """The last ratio of a row, and the machine that it was measured on, as `machine` describes it."""

    ratio: float
    machine: str


def key(name: str, against: str) -> str:
    """Return the key that identifies a row in the table."""
    return f"{name} | {against}"


def read(path: Path = PATH) -> dict[str, Last]:
    """Return the results of the table by key; none if the file does not exist."""
    cells = {name: line.strip("| ").split(" | ") for name, line in _lines(path).items()}
    return {name: Last(float(row[HEAD.index("ratio")]), row[-1].split("; ")[1]) for name, row in cells.items()}


def write(results: Sequence[Measured], path: Path = PATH) -> None:
    """Add rows to the table, in place of rows with the same key."""
    lines = _lines(path)
    for result in results:
        lines[key(result.row.name, result.row.against)] = _line(result)
    table = [f"| {' | '.join(HEAD)} |", f"|{' --- |' * len(HEAD)}", *lines.values()]
    path.write_text("\n".join([INTRODUCTION, *table, ""]), encoding="utf-8")


def _lines(path: Path) -> dict[str, str]:
    """Return the lines of the table by key."""
    if not path.exists():
        return {}
    text = path.read_text(encoding="utf-8")
    rows = re.finditer(r"^\| (.+?) \| (.+?) \| [\d.]+ \|.*$", text, re.MULTILINE)
    return {key(row[1], row[2]): row[0] for row in rows}


def _line(measured: Measured) -> str:
    row, (low, high) = measured.row, measured.quartiles
    met = "no" if measured.missed else "yes" if measured.ratio <= row.target else "within noise"
    figures = f"{measured.ratio:.3f} | {low:.3f} to {high:.3f} | {row.target:.2f} | {met}"
    when = f"{datetime.datetime.now(datetime.UTC).date()}; {machine()}; {versions()}"
    return f"| {row.name} | {row.against} | {figures} | {when} |"


def machine() -> str:
    """Return the processor, the number of cores and the vector instructions, as Linux reports them."""
    cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = re.search(r"model name\s*:\s*(.+)", cpuinfo)
    vectors = "AVX-512" if "avx512f" in cpuinfo else "AVX2" if " avx2" in cpuinfo else "no AVX2"
    return f"{model[1] if model else platform.machine()}, {len(os.sched_getaffinity(0))} cores, {vectors}"


def versions() -> str:
    """Return the versions of the packages that a result depends on."""
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
