"""`netspec verify --parallel towers`."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.forked import fork_towers

TOWERS = ("--parallel", "towers", "--set", "placement.towers=2")


def test_a_proof_is_a_table_and_a_closing_line(netspec: Run, small: Path) -> None:
    code, out, err = netspec("verify", small, *TOWERS)
    assert (code, err) == (0, "")
    titles = [line for line in out.splitlines() if line.startswith("small: ")]
    assert titles == [
        "small: outputs, error as a share of the largest",
        "small: gradients, error in relative L2",
        "small: training, error as a share of the largest",
    ]
    assert "torch in 2 towers  NumPy " in out
    assert "note: one device and 2 processes of this machine, over gloo" in out
    assert out.endswith("✓ small: torch in 2 towers is torch on one device, and trains as it does: 10 comparisons\n")


def test_the_level_is_chosen(netspec: Run, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fork_towers(monkeypatch)
    code, out, _ = netspec("verify", small, *TOWERS, "--level", "forward", "--json")
    assert code == 0
    assert {row["level"] for row in json.loads(out)["comparisons"]} == {"forward"}


def test_requests_that_towers_do_not_support_are_errors(netspec: Run, small: Path) -> None:
    def error_of(*options: str) -> str:
        code, out, err = netspec("verify", small, *options)
        assert (code, out) == (2, "")
        return err

    assert "small has no placement" in error_of("--parallel", "towers")
    assert "keras backend trains no network in towers" in error_of(*TOWERS, "--backends", "keras")
    assert "one backend at a time" in error_of(*TOWERS, "--backends", "torch,keras")
    assert "networks that train" in error_of(*TOWERS, "--optimize", "inference")
    assert "--deep and --parallel towers exclude each other" in error_of(*TOWERS, "--deep")
    assert "conv2 works in 2 groups" in error_of("--parallel", "towers", "--set", "placement.towers=3")
    assert "`placement.towers` can" in error_of("--parallel", "towers", "--set", "layers.towers=4")
