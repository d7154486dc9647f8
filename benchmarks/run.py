"""Measures the rows of `rows.py` and prints a table of ratios, beside the targets and the last results (`make bench`).

The exit code is 1 if a ratio misses its target by more than noise.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import results
from measure import Measured, measure
from rows import ROWS

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
ROOT = Path(__file__).parents[1]


def main(*arguments: str) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="WORD", help="measure only the rows that have all of these words")
    parser.add_argument("--keep", action="store_true", help="write the results to RESULTS.md")
    options = parser.parse_args(arguments)
    words = [word.lower() for word in options.words]
    rows = [row for row in ROWS if all(word in f"{row.name} {row.against}".lower() for word in words)]
    if not rows:
        raise SystemExit(
            f"no row has {' '.join(words)} in its name; there are:\n  " + "\n  ".join(r.name for r in ROWS)
        )
    os.chdir(ROOT)
    last, machine = results.read(), results.machine()
    print(f"{machine}; {results.versions()}\n")
    print(f"{'':9}{'ratio':>7}{'target':>8}  {'middle half':16}{'last':>7}  measured, against")
    measured: list[Measured] = []
    for row in rows:
        measured.append(measure(row))
        print(line(measured[-1], last.get(results.key(row.name, row.against)), machine), flush=True)
        if options.keep:
            results.write(measured[-1:])
    missed = sum(result.missed for result in measured)
    print("\n↑ ↓ changed by more than noise since the last result; * of another machine: compare no ratios")
    print(f"{len(measured) - missed} of {len(measured)} meet their targets, or miss them by no more than noise")
    return 1 if missed else 0


def line(measured: Measured, last: results.Last | None, machine: str) -> str:
    """Return a line of the table.

    An arrow beside the last result marks a change beyond noise, an asterisk a result of another machine.
    """
    low, high = measured.quartiles
    met = measured.ratio <= measured.row.target
    verdict = "misses" if measured.missed else "meets" if met else "noise"
    previous = f"{last.ratio:.3f}{_change(last, low, high, machine)}" if last else ""
    middle = f"{low:.3f} to {high:.3f}"
    return (
        f"{verdict:9}{measured.ratio:7.3f}{measured.row.target:8.2f}  {middle:16}{previous:>7}  "
        f"{measured.row.name}; {measured.row.against}"
    )


def _change(last: results.Last, low: float, high: float, machine: str) -> str:
    if last.machine != machine:
        return " *"
    return " ↑" if low > last.ratio else " ↓" if high < last.ratio else ""


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
