"""The limits of a network in towers are raised to what rounding does to it on one device, and no further."""

from collections.abc import Collection
from dataclasses import replace

import numpy as np
import pytest

from netspec.types import DType
from netspec.verify.compare import Comparison
from netspec.verify.gradients import of_rounding_alone, worst_gradient
from netspec.verify.rounding import TWINS
from netspec.verify.towers.proof import allowing_for_rounding

FAILED = Comparison("gradient", "torch in 4 towers", "torch", DType.FLOAT64, "3 × 2", "fc.weight", 5e-10, 1e-10)
PASSED = replace(FAILED, subject="input", error=1e-16)

Rows = list[Comparison]


def as_they_are(rows: Rows, noise: Collection[str]) -> Rows:
    return rows


def no_noise(rows: Rows) -> set[str]:
    return set()


@pytest.mark.parametrize(
    ("effect", "limit"),
    [(1e-12, 1e-10), (4e-10, 4e-10), (8e-10, 8e-10), (1e-3, 1e-8)],  # the tolerance, the effect, at most 1e-8
)
def test_a_limit_is_raised_to_the_largest_effect_of_rounding(effect: float, limit: float) -> None:
    def twin(number: int) -> Rows:
        return [replace(PASSED, error=1e-5), replace(FAILED, error=effect / (1 + number))]

    passed, raised = allowing_for_rounding([PASSED, FAILED], twin, no_noise, as_they_are)
    assert passed == PASSED
    assert raised == replace(FAILED, tolerance=pytest.approx(limit))
    assert raised.passed == (effect > 5e-10)


def test_a_gradient_of_rounding_alone_is_measured_by_the_largest() -> None:
    """That is the size of the terms whose rounding it is. Twins show it, for of such a gradient they keep no digit."""
    expected = {"fc.weight": np.array([3.0, 4.0]), "fc.bias": np.array([2e-14, -1e-14])}
    twin = {"fc.weight": np.array([3.0, 4.0 + 1e-12]), "fc.bias": np.array([-1e-14, 3e-14])}
    actual = {"fc.weight": np.array([3.0, 4.0]), "fc.bias": np.array([6e-12, 8e-12])}
    name, error, tolerance = worst_gradient(actual, expected)
    assert (name, f"{error:.0e}", tolerance) == ("fc.bias", "2e-10", 1e-10)
    noise = of_rounding_alone(twin, expected)
    assert noise == {"fc.bias"}
    name, error, tolerance = worst_gradient(actual, expected, noise=noise)
    assert (name, f"{error:.0e}", tolerance) == ("fc.bias", "2e-12", 1e-10)


def test_what_is_rounding_alone_is_known_once_twins_have_shown_it() -> None:
    """The second of the twins shows it, and from then on it is compared so: in that one, and in the towers."""
    asked: list[tuple[int, set[str]]] = []

    def noise_of(number: int) -> set[str]:
        return {"fc.weight"} if number == 1 else set()

    def compare(number: int, noise: Collection[str]) -> Rows:
        asked.append((number, set(noise)))
        return [replace(FAILED, error=(1e-13 if number >= 0 else 2e-12) if noise else FAILED.error)]

    (row,) = allowing_for_rounding(-1, lambda number: number, noise_of, compare)
    shown = {"fc.weight"}
    assert asked == [(-1, set()), (0, set()), *((number, shown) for number in range(1, TWINS)), (-1, shown)]
    assert row == replace(FAILED, error=2e-12)


@pytest.mark.parametrize("error", [1e-11, 1e-7, float("inf"), float("nan")])
def test_rounding_is_measured_only_if_it_could_be_the_cause(error: float) -> None:
    def twin(number: int) -> Rows:
        raise AssertionError(number)

    rows = [replace(FAILED, error=error)]
    assert allowing_for_rounding(rows, twin, no_noise, as_they_are) is rows
