"""LeNet-5 of 1998: its output units, its codes, and that its own recipe learns."""

from pathlib import Path

import numpy as np
import pytest

import netspec
from netspec.reference import evaluate
from netspec.training.schedule import Schedule
from netspec.weights import initialize
from tests.training.conftest import Recorder

SPEC = "specs/lenet5-1998.yaml"
# Figure 3, as it is printed: the digits 3 and 4.
THREE_AND_FOUR = """
#######  .#####.
.....##  .......
....##.  .......
...##..  .##..##
..####.  .##..##
.....##  ###..##
.....##  ##...##
.....##  ##...##
##...##  ##..###
.#####.  .######
.......  .....##
.......  .....##
"""


def test_an_output_is_minus_the_squared_distance_to_the_code_of_a_digit() -> None:
    graph = netspec.load(SPEC).graph
    weights = initialize(graph)
    codes = 2 * weights["bitmaps.values"] - 1
    assert codes.shape == (10, 12, 7)
    assert set(np.unique(codes)) == {-1, 1}
    printed = [[row.split()[digit] for row in THREE_AND_FOUR.split("\n") if row] for digit in (0, 1)]
    for digit, rows in zip((3, 4), printed, strict=True):
        assert [["#" if each > 0 else "." for each in row] for row in codes[digit]] == [list(row) for row in rows]
    flat = codes.reshape(10, -1)
    assert min(np.abs(a - b).sum() / 2 for i, a in enumerate(flat) for b in flat[:i]) >= 9  # pixels that differ
    x = {"input": np.random.default_rng(0).standard_normal((3, 1, 32, 32))}
    inner = graph.with_outputs(["squash6.amplitude", "output"])
    found = evaluate(inner, weights, x)
    expected = -((found["squash6.amplitude"][:, None] - flat) ** 2).sum(axis=2)
    np.testing.assert_allclose(found["output"], expected, rtol=1e-12)


def test_its_rates_are_those_of_the_paper() -> None:
    training = netspec.load(SPEC).spec.training
    assert training is not None
    schedule = Schedule(training, 100)
    rates = [schedule.rate(100 * epoch) for epoch in range(20)]
    assert rates == pytest.approx([5e-4] * 2 + [2e-4] * 3 + [1e-4] * 3 + [5e-5] * 4 + [1e-5] * 8)  # section III.B


def test_its_recipe_learns_from_single_samples(tmp_path: Path) -> None:
    network = netspec.load(SPEC, {"rate": 0.0001, "training.epochs": None, "training.steps": 600})
    assert network.spec.training is not None
    assert network.spec.training.batch_size == 1
    recorder = Recorder()
    network.train("torch", netspec.TrainOptions(data="digits", out=tmp_path), recorder)
    losses = [each.loss for each in recorder.steps]
    assert np.mean(losses[:20]) > 2
    assert np.mean(losses[-200:]) < 1.2
    assert any("weights begin with rates of 2.1e-05 to 5.0e-03" in note for note in recorder.notes)
