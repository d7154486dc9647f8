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
HEAD = ("measured", "against", "ratio", "middle half", "target", "met")


def key(name: str, against: str) -> str:
    """By which a row is found again."""
    return f"{name} | {against}"


def read(path: Path = PATH) -> dict[str, float]:
    """The ratios of the last table; none where there is no file."""
    if not path.exists():
        return {}
    rows = re.findall(r"^\| (.+?) \| (.+?) \| ([\d.]+) \|", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {key(name, against): float(ratio) for name, against, ratio in rows}


def write(measured: Sequence[Measured], path: Path = PATH) -> None:
    """Put these rows in the place of those of the same name; the others stay, with the run that they are of."""
    lines = [
        "# What was measured",
        "",
        "Kept by `make bench-keep`. A ratio is the median of the pairs: own time (or peak memory) as a share of the",
        "peer's in the same pair, the two in turn. Machines differ; ratios of one table are of one machine.",
        "",
        f"{datetime.date.today().isoformat()}; {machine()}; {versions()}",
        "",
        f"| {' | '.join(HEAD)} |",
        f"|{' --- |' * len(HEAD)}",
    ]
    for each in measured:
        low, high = each.quartiles
        met = "no" if each.missed else "yes" if each.ratio <= each.row.target else "within noise"
        figures = f"{each.ratio:.3f} | {low:.3f} to {high:.3f} | {each.row.target:.2f} | {met}"
        lines.append(f"| {each.row.name} | {each.row.against} | {figures} |")
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")


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
