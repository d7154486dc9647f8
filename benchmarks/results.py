"""The results that are kept in RESULTS.md: one table, which is read back to be compared with."""

from __future__ import annotations

import datetime
import importlib.metadata
import platform
import re
from collections.abc import Sequence
from pathlib import Path

from measure import Measured

PATH = Path(__file__).parent / "RESULTS.md"
PACKAGES = ("torch", "tensorflow", "keras", "onnxruntime", "numpy")
HEAD = ("measured", "against", "ratio", "middle half", "target", "met", "on")
INTRODUCTION = """# What was measured

Kept by `make bench-keep`, the last result of each row. A ratio is the median of the pairs: own time, or peak memory, as
a share of the peer's in the same pair, the two in turn. Half of the pairs lie in the middle half. A ratio
that is beyond its target by less than that is within noise. Machines differ: compare ratios of one.
"""


def key(name: str, against: str) -> str:
    """By which a row is found again."""
    return f"{name} | {against}"


def read(path: Path = PATH) -> dict[str, float]:
    """The ratios of the last table; none where there is no file."""
    return {name: float(line.split(" | ")[2]) for name, line in _lines(path).items()}


def write(measured: Sequence[Measured], path: Path = PATH) -> None:
    """Put rows in the place of those of the same name; the others stay."""
    lines = _lines(path)
    for each in measured:
        lines[key(each.row.name, each.row.against)] = _line(each)
    table = [f"| {' | '.join(HEAD)} |", f"|{' --- |' * len(HEAD)}", *lines.values()]
    path.write_text("\n".join([INTRODUCTION, *table, ""]), encoding="utf-8")


def _lines(path: Path) -> dict[str, str]:
    """The rows of the table as they stand, by name and peer."""
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
    """The processor, as far as Linux tells, and how many of it."""
    import os

    names = re.findall(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    vectors = "AVX-512" if "avx512f" in flags else "AVX2" if " avx2" in flags else "no AVX2"
    return f"{names[0] if names else platform.machine()}, {len(os.sched_getaffinity(0))} cores, {vectors}"


def versions() -> str:
    """Of what was measured with."""
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
