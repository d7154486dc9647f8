"""Schedules: functions of the step, and the plateau, which has a memory."""

from __future__ import annotations

import math
from typing import Any

import pytest

from netspec.errors import NetspecError
from netspec.recipe import Recipe
from netspec.training.schedule import Plateau, Schedule

PER_EPOCH = 10
RATE = 0.5


def schedule(rule: dict[str, Any], **fields: Any) -> Schedule:
    recipe = {"batch_size": 4, "epochs": 10, "optimizer": {"name": "sgd", "learning_rate": RATE}, "schedule": rule}
    return Schedule(Recipe.model_validate(recipe | fields), PER_EPOCH)


def test_the_length_of_a_run_is_in_steps() -> None:
    assert schedule({"name": "constant"}).total_steps == 100
    assert schedule({"name": "constant"}, epochs=None, steps=7).total_steps == 7


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"name": "constant"}, {0: 1, 99: 1}),
        ({"name": "step", "every": {"epochs": 3}, "factor": 0.1}, {29: 1, 30: 0.1, 59: 0.1, 60: 0.01}),
        ({"name": "multistep", "at": [{"steps": 5}, {"steps": 8}], "factor": 0.5}, {4: 1, 5: 0.5, 7: 0.5, 8: 0.25}),
        (
            {"name": "multistep", "at": [{"epochs": 2}, {"epochs": 5}, {"epochs": 8}], "factor": [0.4, 0.5, 0.25]},
            {19: 1, 20: 0.4, 49: 0.4, 50: 0.2, 79: 0.2, 80: 0.05},
        ),
        ({"name": "exponential", "every": {"steps": 10}, "factor": 0.25}, {0: 1, 5: 0.5, 10: 0.25}),
        ({"name": "polynomial", "power": 2.0}, {0: 1, 50: 0.25, 100: 0}),
        ({"name": "polynomial", "power": 1.0, "final": 0.2}, {0: 1, 50: 0.6, 100: 0.2}),
        ({"name": "cosine"}, {0: 1, 50: 0.5, 25: (1 + math.sqrt(0.5)) / 2, 100: 0}),
        ({"name": "cosine", "final": 0.1}, {0: 1, 50: 0.55, 100: 0.1}),
    ],
    ids=lambda value: value.get("name", "") if isinstance(value, dict) else "",
)
def test_rates(rule: dict[str, Any], expected: dict[int, float]) -> None:
    found = schedule(rule)
    assert {step: found.rate(step) for step in expected} == pytest.approx({s: RATE * f for s, f in expected.items()})


@pytest.mark.parametrize(
    ("factor", "message"),
    [
        ([0.5], "expected one `factor` for each of the 2 moments in `at`, or a number for all, received 1"),
        ([0.5, 0.4, 0.1], "received 3"),
        ([], "received 0"),
        ([0.5, 2.0], "less than 1"),
        ("half", "valid number"),
    ],
)
def test_a_list_has_a_factor_for_each_moment(factor: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        schedule({"name": "multistep", "at": [{"steps": 5}, {"steps": 8}], "factor": factor})


def test_warmup_rises_in_a_line_and_then_the_rule_has_the_rest_of_the_run() -> None:
    found = schedule({"name": "cosine"}, warmup={"epochs": 2.0, "start": 0.1})
    assert [found.rate(step) for step in (0, 10, 19)] == pytest.approx([RATE * f for f in (0.1, 0.55, 0.955)])
    assert [found.rate(step) for step in (20, 60, 100)] == pytest.approx([RATE, RATE / 2, 0])


def test_a_rate_does_not_depend_on_the_rates_before_it() -> None:
    found = schedule({"name": "exponential", "every": {"steps": 1}, "factor": 0.9})
    assert found.rate(77) == RATE * 0.9**77


def watch(found: Schedule, errors: list[float]) -> list[float]:
    plateau, factors = Plateau(), []
    for epoch, error in enumerate(errors, 1):
        plateau = found.observe(plateau, error, epoch * 10)
        factors.append(found.rate(epoch * 10, plateau) / RATE)
    return factors


def test_a_plateau_divides_after_its_patience_and_starts_counting_again() -> None:
    found = schedule({"name": "plateau", "patience": 2, "factor": 0.1, "threshold": 0.01})
    falls = [0.9, 0.8, 0.795, 0.792]  # the last two are within the threshold
    assert watch(found, falls) == pytest.approx([1, 1, 1, 0.1])
    assert watch(found, [*falls, 0.6, 0.6, 0.6, 0.6, 0.6]) == pytest.approx([1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.001])


def test_a_plateau_has_a_floor() -> None:
    found = schedule({"name": "plateau", "patience": 1, "factor": 0.1, "least_learning_rate": RATE / 20})
    assert watch(found, [0.5, 0.5, 0.5, 0.5]) == pytest.approx([1, 0.1, 0.05, 0.05])


def test_the_floor_of_a_plateau_never_raises_the_rate() -> None:
    found = schedule({"name": "plateau", "patience": 1, "factor": 0.1, "least_learning_rate": 2 * RATE})
    assert watch(found, [0.5, 0.5, 0.5]) == [1, 1, 1]


def test_a_plateau_waits_from_the_end_of_the_warmup() -> None:
    found = schedule({"name": "plateau", "patience": 1, "factor": 0.1}, warmup={"epochs": 2.0})
    assert watch(found, [0.2, 0.5, 0.5, 0.5, 0.5])[1:] == pytest.approx([1, 1, 0.1, 0.01])


def test_other_schedules_do_not_look_at_the_error() -> None:
    found = schedule({"name": "constant"})
    assert found.observe(Plateau(), 0.5, 10) == Plateau()


def test_a_span_shorter_than_a_step_is_an_error() -> None:
    with pytest.raises(NetspecError, match=r"a span of 0\.01 epochs is less than one step"):
        schedule({"name": "step", "every": {"epochs": 0.01}}).rate(0)
