"""The output and exit status of `make bench`, from rows with invented times."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
PLANTED = """
import sys
sys.path.insert(0, sys.argv[1])
import run
from measure import Measured, Row

times = {"meets": [0.8, 0.9, 0.9, 1.0, 1.3], "noise": [0.9, 1.0, 1.2, 1.3, 1.4], "misses": [1.0, 1.2, 1.2, 1.3, 1.4]}
run.ROWS = [Row(f"row that {name}", "a peer", "none:own", "none:peer", 1.1) for name in sys.argv[2].split(",")]
if lasts := dict(pair.split("=") for pair in sys.argv[3:] if "=" in pair):
    machines = {"here": run.results.machine(), "elsewhere": "another machine"}
    run.results.read = lambda: {
        f"row that {name} | a peer": run.results.Last(float(ratio), machines[machine])
        for name, (ratio, machine) in ((name, last.split("@")) for name, last in lasts.items())
    }
run.measure = lambda row: Measured(row, tuple((2.0, 2.0 * own) for own in times[row.name.split()[-1]]))
sys.exit(run.main(*(word for word in sys.argv[3:] if "=" not in word)))
"""


def bench(rows: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PLANTED, str(BENCHMARKS), rows, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def results(found: subprocess.CompletedProcess[str]) -> list[list[str]]:
    """Return the first three words of each row: its result, ratio and target."""
    return [line.split()[:3] for line in found.stdout.splitlines() if "; a peer" in line]


@pytest.mark.parametrize(("rows", "code"), [("meets", 0), ("meets,noise", 0), ("misses", 1), ("meets,misses,noise", 1)])
def test_a_miss_beyond_the_noise_ends_with_1_and_nothing_else_does(rows: str, code: int) -> None:
    found = bench(rows)
    assert (found.returncode, found.stderr) == (code, "")
    assert [row[0] for row in results(found)] == rows.split(",")
    count = len(rows.split(","))
    assert f"{count - code} of {count} meet their targets, or miss them by no more than noise" in found.stdout


def test_the_ratio_is_the_median_beside_the_target() -> None:
    assert results(bench("meets,noise,misses")) == [
        *(["meets", "0.900", "1.10"], ["noise", "1.200", "1.10"], ["misses", "1.200", "1.10"]),
    ]


def test_only_the_rows_that_are_named_decide() -> None:
    assert bench("meets,misses", "meets").returncode == 0
    assert bench("meets,misses", "that", "MISSES").returncode == 1


def test_options_are_no_words() -> None:
    found = bench("misses", "--help")
    assert (found.returncode, results(found)) == (0, [])
    assert "WORD" in found.stdout
    assert "--keep" in found.stdout
    assert bench("meets", "--kept").returncode == 2


def test_an_unknown_row_is_an_error_that_lists_the_rows() -> None:
    found = bench("meets", "elsewhere")
    assert found.returncode == 1
    assert "no row has elsewhere in its name; there are:\n  row that meets" in found.stderr


def test_a_change_beyond_the_noise_is_marked_on_the_same_machine_alone() -> None:
    for last, mark in (("1.5@here", "↓"), ("0.5@here", "↑"), ("0.9@here", ""), ("1.5@elsewhere", "*")):
        (row,) = (line for line in bench("meets", f"meets={last}").stdout.splitlines() if "; a peer" in line)
        assert row.split("row that")[0].split()[6:] == [f"{float(last[:3]):.3f}", *([mark] if mark else [])]


def test_the_results_that_are_kept_are_read_with_their_machines() -> None:
    code = "import results; print(*(last.machine for last in results.read().values()), sep='\\n')"
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, cwd=BENCHMARKS, capture_output=True, text=True, check=True)
    table = (BENCHMARKS / "RESULTS.md").read_text().splitlines()
    rows = [line for line in table if line.startswith("| ")][2:]  # below the head
    for machine, row in zip(found.stdout.splitlines(), rows, strict=True):
        assert f"; {machine}; torch " in row
