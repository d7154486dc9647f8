"""A run that is killed at random moments and continued ends with the same weights."""

from __future__ import annotations

import json
from pathlib import Path

from netspec.lowering import find_backend
from netspec.spec import read_spec
from netspec.training.events import Observers
from netspec.training.options import TrainOptions
from netspec.training.run import train
from netspec.weights import read_arrays
from tests import forked
from tests.waiting import HANG

KILLS = 20
EPOCHS, STEPS = 25, 20  # epochs of the run, steps of an epoch


def lines(folder: Path) -> list[dict[str, object]]:
    """Return the metrics without what a clock measured, and without what each session adds."""
    found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    clocks = ("seconds", "images_per_second")
    return [
        {k: v for k, v in line.items() if k not in clocks} for line in found if line["kind"] not in {"note", "session"}
    ]


def test_twenty_kills_change_nothing(spec: Path, data: Path, tmp_path: Path) -> None:
    script = Path(__file__).with_name("kill_loop.py")
    out = tmp_path / "runs"
    spec.write_text(spec.read_text().replace("epochs: 4", f"epochs: {EPOCHS}"))
    killed = forked.run([str(script), str(spec), str(data), str(out), str(KILLS)], 3 * HANG)  # 21 in a row
    assert killed.returncode == 0, killed.stderr
    whole = TrainOptions(data=str(data), holdout=0.2, out=out, name="whole")
    outcome = train(read_spec(spec), find_backend("torch"), whole, Observers())
    assert outcome.position.step == EPOCHS * STEPS
    for name in ("last", "best"):
        (expected, _), (found, _) = (
            read_arrays(out / run / "checkpoints" / f"{name}.safetensors") for run in ("whole", "killed")
        )
        assert set(found) == set(expected)
        differ = [key for key in expected if found[key].tobytes() != expected[key].tobytes()]
        assert not differ
    assert lines(out / "killed") == lines(out / "whole")
    assert not list((out / "killed").rglob(".*"))  # no file is half written
