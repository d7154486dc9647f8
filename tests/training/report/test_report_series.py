"""The log of a run as arrays: order, resumption, gaps, and thinning that loses no extreme."""

import numpy as np
import pytest

from netspec.training.report.axes import Axis, axis_of, short_number
from netspec.training.report.series import read_curves, thin


def step(number: int, loss: float | None, epoch: float = 0.0) -> dict[str, object]:
    return {"kind": "step", "step": number, "epoch": epoch, "loss": loss}


def test_a_resumption_replaces_the_lines_after_its_checkpoint() -> None:
    lines = [step(1, 5.0), step(2, 4.0), step(3, 9.0), step(4, 9.0), step(3, 3.0)]
    curves = read_curves(lines)
    assert curves.steps["step"].tolist() == [1, 2, 3]
    assert curves.steps["loss"].tolist() == [5, 4, 3]


def test_missing_values_are_nan() -> None:
    lines = [{"kind": "note", "text": "hello"}, step(1, None), {"kind": "epoch", "epoch": 1, "step": 1}]
    curves = read_curves(lines)
    assert np.isnan([curves.steps["loss"][0], curves.epochs["validation_error"][0]]).all()
    assert curves.best is None


def test_the_best_epoch_is_the_first_of_the_lowest() -> None:
    errors = [None, 0.4, 0.2, float("nan"), 0.2]
    lines = [{"kind": "epoch", "epoch": n, "step": n, "validation_error": e} for n, e in enumerate(errors, 1)]
    assert read_curves(lines).best == 2


@pytest.mark.parametrize(("epoch", "unit"), [(1.0, "step"), (2.0, "epoch")])
def test_short_runs_are_counted_in_steps(epoch: float, unit: str) -> None:
    assert read_curves([step(1, 1.0, epoch)]).unit == unit


def test_a_million_steps_become_a_thousand_points_and_keep_their_extremes() -> None:
    x = np.arange(1.0, 1_000_001)
    y = np.random.default_rng(0).normal(size=x.size)
    y[123_456], y[654_321] = 50.0, -50.0
    thinned = thin(x, y)
    assert 3 * thinned.x.size <= 1000
    assert (thinned.high.max(), thinned.low.min()) == (50, -50)
    assert (np.diff(thinned.x) > 0).all()
    assert (thinned.low <= thinned.mean).all()
    assert (thinned.mean <= thinned.high).all()
    sizes = np.diff(np.append(np.arange(330) * x.size // 330, x.size))
    assert np.average(thinned.mean, weights=sizes) == pytest.approx(y.mean(), abs=1e-12)


def test_a_short_line_stays_as_it_is() -> None:
    x, y = np.arange(60.0), np.arange(60.0) ** 2
    thinned = thin(x, y)
    assert thinned.x.tolist() == x.tolist()
    assert thinned.low.tolist() == thinned.mean.tolist() == thinned.high.tolist() == y.tolist()


def test_values_that_are_not_finite_leave_their_bucket_or_a_gap() -> None:
    x, y = np.arange(160.0), np.ones(160)
    y[3], y[7], y[80:90] = np.nan, np.inf, np.nan
    thinned = thin(x, y)
    assert thinned.mean[0] == 1
    assert np.isnan(thinned.mean).any()
    assert np.nanmax(thinned.high) == 1


def test_nothing_is_thinned_to_nothing() -> None:
    assert thin(np.array([]), np.array([])).x.size == 0
    assert np.isnan(thin(np.array([1.0]), np.array([np.nan])).mean).all()


@pytest.mark.parametrize(
    ("values", "log"),
    [([0.01, 0.001], False), ([0.01, 1e-5], True), ([1.0, 20.0], False), ([1.0, 20.1], True), ([-1.0, 100.0], False)],
)
def test_a_wide_range_is_drawn_by_logarithms(values: list[float], log: bool) -> None:
    assert axis_of(np.array(values), 0, 100, "number").log is log


@pytest.mark.parametrize(
    "values",
    [[0.3, 6.9], [1e-6, 1e-2], [5.0], [0.0], [-3.0], [], [1e-30, 1e30], [1e6, 1.001e6], [np.nan, 2.0], [0.0, 1e-9]],
)
def test_ticks_are_round_few_and_on_the_axis(values: list[float]) -> None:
    axis = axis_of(np.array(values), 10, 110, "number")
    ticks = axis.ticks(6)
    assert 1 <= len(ticks) <= 7
    assert len({axis.text(tick) for tick in ticks}) == len(ticks)
    for tick in ticks:
        assert 10 - 1e-6 <= axis.place(tick) <= 110 + 1e-6


def test_places_and_ticks_of_a_learning_rate() -> None:
    axis = axis_of(np.array([1e-2, 1e-3, 1e-4, 1e-5]), 100, 0, "number")
    assert [axis.text(tick) for tick in axis.ticks(6)] == ["1e-5", "1e-4", "0.001", "0.01"]
    assert np.ptp(np.diff([axis.place(tick) for tick in axis.ticks(6)])) < 1e-9


def test_counts_have_whole_ticks() -> None:
    assert Axis(0, 3, 0, 1, unit="count").ticks(6) == [0, 1, 2, 3]


@pytest.mark.parametrize(("value", "text"), [(0.05, "0.05"), (9000, "9000"), (120_000, "120k"), (5e13, "5e13")])
def test_numbers_are_short(value: float, text: str) -> None:
    assert short_number(value) == text
