"""The limits of a network in towers are raised to what rounding does to it on one device, and no further."""

from dataclasses import replace

import pytest

from netspec.types import DType
from netspec.verify.compare import Comparison
from netspec.verify.towers.proof import allowing_for_rounding

FAILED = Comparison("gradient", "torch in 4 towers", "torch", DType.FLOAT64, "3 × 2", "fc.weight", 5e-10, 1e-10)
PASSED = replace(FAILED, subject="input", error=1e-16)


@pytest.mark.parametrize(
    ("effect", "limit"),
    [(1e-12, 1e-10), (4e-10, 4e-10), (8e-10, 8e-10), (1e-3, 1e-8)],  # the tolerance, the effect, at most 1e-8
)
def test_a_limit_is_raised_to_the_largest_effect_of_rounding(effect: float, limit: float) -> None:
    def twin(number: int) -> list[Comparison]:
        return [replace(PASSED, error=1e-5), replace(FAILED, error=effect / (1 + number))]

    passed, raised = allowing_for_rounding([PASSED, FAILED], twin)
    assert passed == PASSED
    assert raised == replace(FAILED, tolerance=pytest.approx(limit))
    assert raised.passed == (effect > 5e-10)


@pytest.mark.parametrize("error", [1e-11, 1e-7, float("inf"), float("nan")])
def test_rounding_is_measured_only_if_it_could_be_the_cause(error: float) -> None:
    def twin(number: int) -> list[Comparison]:
        raise AssertionError(number)

    rows = [replace(FAILED, error=error)]
    assert allowing_for_rounding(rows, twin) is rows
