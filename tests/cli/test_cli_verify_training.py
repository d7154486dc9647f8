"""`netspec verify --level training`."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

import netspec.verify as netspec_verify
from netspec.types import DType
from netspec.verify import Comparison, Report, TrainingDivergence, Unfinished
from tests.cli.conftest import Run, Spec

PAIR = ("torch", "keras")


def test_training_is_the_third_section(netspec: Run, small: Path) -> None:
    code, out, err = netspec("verify", small, "--backends", "torch,onnx", "--level", "training")
    assert (code, err) == (0, "")
    titles = [line for line in out.splitlines() if line.startswith("small: ")]
    assert titles == [
        "small: outputs, error as a share of the largest",
        "small: training, error as a share of the largest",
    ]
    (row,) = [line for line in out.splitlines() if line.startswith("torch") and "NumPy" in line]
    assert row.split("  ")[0] == "torch"
    assert "20 steps of sgd, 4 × 3x9x8" in row
    assert "note: the training of onnx is not compared: it has none in float64" in out
    assert "note: gradients are compared between two backends that train in float64, here: torch" in out
    assert "note: torch is the only one here that trains in float64" in out
    assert "torch, onnx and the reference are one function, and the updates of torch are those of NumPy: " in out


def test_the_recipe_of_the_spec_is_compared_too(netspec: Run, write_spec: Spec) -> None:
    spec = write_spec()
    recipe = "training: {batch_size: 2, epochs: 1, optimizer: {name: adam, learning_rate: 0.1}}\n"
    spec.write_text(spec.read_text() + recipe)
    out = netspec("verify", spec, "--backends", "torch", "--level", "training", "--json")[1]
    report = json.loads(out)
    assert report["passed"]
    assert report["training"] == []
    rows = [row for row in report["comparisons"] if row["level"] == "training"]
    assert [row["case"] for row in rows] == ["20 steps of sgd, 4 × 3x9x8", "20 steps of adam, 4 × 3x9x8"]


def test_the_closing_line_says_how_many_steps_were_compared(
    netspec: Run, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        Comparison("forward", name, "reference", DType.FLOAT64, "2 × 3x9x8", "fc", 1e-15, 1e-12) for name in PAIR
    ] + [Comparison("training", name, "NumPy", DType.FLOAT64, "20 steps", "fc.bias", 1e-15, 1e-9) for name in PAIR]
    cut = (Unfinished("float64", 12, 20), Unfinished("float32", 7, 20), Unfinished("float64", 9, 20))
    whole, part = Report("small", tuple(rows)), Report("small", tuple(rows), unfinished=cut)
    nothing = Report("small", tuple(rows), unfinished=(Unfinished("float32", 0, 20),))
    claims = []
    for report in (whole, part, nothing):
        monkeypatch.setattr(netspec_verify, "verify", lambda *_, report=report, **__: report)
        claims.append(netspec("verify", small, "--backends", "torch")[1].partition(", and ")[2].strip())
    assert claims == [
        "train as one: torch, keras: 4 comparisons",
        "train as one (in float32 for the first 7 of 20 steps; in float64 for the first 9 of 20 steps): torch, keras: "
        "4 comparisons",
        "train as one (in float32 not compared): torch, keras: 4 comparisons",
    ]


def test_level_training_without_a_backend_that_trains_is_an_error(netspec: Run, small: Path) -> None:
    code, out, err = netspec("verify", small, "--backends", "onnx", "--level", "training")
    assert (code, out) == (2, "")
    assert "received onnx" in err
    assert "--level forward" in err


def test_a_divergence_is_named_by_step_and_weight(netspec: Run, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = "20 steps of sgd, 4 × 3x9x8"
    row = Comparison("training", "keras", "torch", DType.FLOAT64, case, "velocity of fc.bias, step 11", 0.8, 1e-9)
    where: dict[str, Any] = {"backend": "keras", "against": "torch", "dtype": "float64", "step": 11}
    first = TrainingDivergence(**where, subject="fc.bias", slot="velocity", error=0.8, tolerance=1e-9, trap="its form")
    lost = TrainingDivergence(**where, subject="loss", slot="", error=math.inf, tolerance=1e-10, trap="")
    report = Report("small", (row,), training=(first, lost))
    monkeypatch.setattr(netspec_verify, "verify", lambda *_, **__: report)
    code, out, err = netspec("verify", small, "--backends", "onnx", "--level", "training")
    assert code == 1
    assert "velocity of fc.bias, step 11" in out
    assert err.splitlines() == [
        "error: small: one function, but not one training: 1 of 1 comparison failed",
        "  keras first differs from torch after step 11 in the velocity of fc.bias, by 8.0e-01 of its largest value "
        "in float64; expected at most 1e-09",
        "    likely: its form",
        "  keras first differs from torch in the loss of step 11, by inf of its largest value in float64; "
        "expected at most 1e-10",
    ]
    code, out, _ = netspec("verify", small, "--backends", "onnx", "--level", "training", "--json")
    divergences = json.loads(out)["training"]
    assert divergences[0] == {
        **where,
        "subject": "fc.bias",
        "slot": "velocity",
        "error": 0.8,
        "tolerance": 1e-9,
        "trap": "its form",
    }
    assert divergences[1]["error"] is None


def test_help_describes_the_level_training(netspec: Run) -> None:
    out = netspec("verify", "--help")[1]
    assert "[forward|gradient|training]" in out
    assert "--level training" in out
