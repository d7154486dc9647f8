"""Color jitter: the distribution of its factors and orders, and what they do to pixels."""

from __future__ import annotations

from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from pydantic import ValidationError

from netspec.recipe import Augmentation, ColorJitter
from netspec.training.data.augment.jitter import OPERATIONS, draw_jitters
from netspec.training.data.augment.operations import transform
from netspec.training.data.augment.policy import Step

MANY = np.arange(6_000)


def steps(**strengths: float) -> list[tuple[Step, ...]]:
    jitters = draw_jitters(3, 1, MANY, Augmentation(color_jitter=ColorJitter(**strengths)))
    assert jitters is not None
    return [jitters.steps(row) for row in MANY.tolist()]


def test_factors_are_uniform_around_1_with_the_strength_of_their_own() -> None:
    strengths = {"brightness": 0.4, "contrast": 0.2, "saturation": 1.0}
    found = steps(**strengths)
    for operation, strength in zip(OPERATIONS, strengths.values(), strict=True):
        factors = np.array([step.argument for each in found for step in each if step.operation == operation])
        shares, expected = (np.sort(factors) - 1 + strength) / (2 * strength), (MANY + 0.5) / len(MANY)
        assert np.abs(shares - expected).max() < 1.95 / np.sqrt(len(MANY))  # Kolmogorov and Smirnov, at 1 in 1,000


def test_all_orders_are_as_likely() -> None:
    orders = Counter(tuple(step.operation for step in each) for each in steps(brightness=1, contrast=1, saturation=1))
    assert set(orders) == set(permutations(OPERATIONS))
    expected = len(MANY) / 6
    assert sum((count - expected) ** 2 / expected for count in orders.values()) < 20.5  # of 5 degrees


def test_a_strength_of_0_leaves_the_operation_out_and_the_others_as_they_were() -> None:
    alone, all_three = steps(contrast=0.5), steps(brightness=0.5, contrast=0.5, saturation=0.5)
    assert [[step.operation for step in each] for each in alone] == [["contrast"]] * len(MANY)
    assert [each[0] for each in alone] == [
        next(step for step in each if step.operation == "contrast") for each in all_three
    ]


def test_factors_multiply_light_distance_from_the_mean_and_color() -> None:
    pixels = np.random.default_rng(0).integers(90, 120, (8, 9, 3)).astype(np.uint8)

    def of(operation: str, factor: float) -> np.ndarray:
        changed = pixels.copy()
        transform(changed, [Step(operation, factor)])
        return changed.astype(float)

    luma = pixels @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(of("brightness", 1.5), pixels * 1.5, atol=1)
    np.testing.assert_allclose(of("contrast", 1.5), luma.mean() + 1.5 * (pixels - luma.mean()), atol=2)
    np.testing.assert_allclose(of("color", 1.5), luma[..., None] + 1.5 * (pixels - luma[..., None]), atol=2)


@pytest.mark.parametrize("strengths", [{}, {"brightness": 0}, {"contrast": 1.5}, {"saturation": -0.1}, {"hue": 0.1}])
def test_what_is_no_strength_is_refused(strengths: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        ColorJitter(**strengths)
