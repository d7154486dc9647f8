"""Draws of a policy have the right distribution, and depend only on the seed, the epoch and the sample."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from netspec.recipe import Augmentation, AutoAugment, RandAugment
from netspec.training.data.augment.policy import (
    DRAWN,
    IMAGENET,
    Changes,
    Operation,
    Step,
    argument_of,
    draw_changes,
    table_argument,
)
from tests.training.data.distributions import chi_squared

MANY = np.arange(20_000)
BOTH = ["rotate", "rotate"]
PAPER = Augmentation(rand_augment=RandAugment())
TRAINED = Augmentation(rand_augment=RandAugment(magnitude=9, magnitude_std=0.5, probability=0.5))
TABLE = Augmentation(auto_augment=AutoAugment(policy="imagenet"))


def of(augmentation: Augmentation, indices: np.ndarray = MANY, seed: int = 0, epoch: int = 0) -> Changes:
    found = draw_changes(seed, epoch, indices, augmentation)
    assert found is not None
    return found


def steps(augmentation: Augmentation, indices: np.ndarray = MANY) -> list[tuple[Step, ...]]:
    changes = of(augmentation, indices)
    return [changes.steps(row) for row in range(len(indices))]


def off(count: int, probability: float, total: int) -> float:
    """Return the distance of a count from its mean, in deviations of the binomial distribution."""
    return abs(count - total * probability) / np.sqrt(max(total * probability * (1 - probability), 1e-12))


def test_without_a_policy_nothing_is_drawn() -> None:
    assert draw_changes(0, 0, MANY, Augmentation(horizontal_flip=True)) is None


def test_each_of_the_papers_operations_is_as_likely() -> None:
    found = steps(PAPER)
    counts = Counter(step.operation for each in found for step in each)
    counts["identity"] = 2 * len(MANY) - counts.total()
    assert set(counts) == set(DRAWN)
    assert len(DRAWN) == 14
    assert chi_squared(np.array([*counts.values()]), 2 * len(MANY) / 14) < 34.5  # of 13 degrees


def test_the_two_operations_are_drawn_apart() -> None:
    pairs = Counter(tuple(step.operation for step in each) for each in steps(PAPER) if len(each) == 2)
    assert len(pairs) == 13 * 13
    assert chi_squared(np.array([*pairs.values()]), len(MANY) / 14**2) < 232  # of 169 degrees


@pytest.mark.parametrize("operations", [1, 3])
def test_the_number_of_operations_is_that_of_the_recipe(operations: int) -> None:
    found = steps(Augmentation(rand_augment=RandAugment(operations=operations)), np.arange(500))
    assert max(map(len, found)) == operations


def test_an_operation_is_applied_with_its_probability() -> None:
    total = sum(map(len, steps(TRAINED)))
    assert off(total, 0.5 * 13 / 14, 2 * len(MANY)) < 4


def test_both_directions_are_as_likely() -> None:
    turned = [step.argument for each in steps(PAPER) for step in each if step.operation == "rotate"]
    assert set(turned) == {27.0, -27.0}
    assert off(turned.count(27.0), 0.5, len(turned)) < 4


def test_magnitudes_are_normally_distributed_and_end_at_0_and_10() -> None:
    found = [step for each in steps(TRAINED) for step in each]
    magnitudes = np.array([abs(step.argument) / 3 for step in found if step.operation == "rotate"])
    assert magnitudes.max() == 10
    assert off(int((magnitudes == 10).sum()), 0.02275, len(magnitudes)) < 4  # what lies beyond two deviations
    inside = magnitudes[magnitudes < 9]
    assert off(len(inside), 0.5, len(magnitudes)) < 4
    assert abs((9 - inside).mean() - 0.5 * np.sqrt(2 / np.pi)) < 0.03
    low = Augmentation(rand_augment=RandAugment(magnitude=0, magnitude_std=0.5))
    factors = [step.argument for each in steps(low) for step in each if step.operation == "rotate"]
    assert off(factors.count(0.0), 0.5, len(factors)) < 4


def test_each_operation_of_an_image_has_a_magnitude_of_its_own() -> None:
    twice = [[abs(step.argument) for step in each] for each in steps(TRAINED) if [s.operation for s in each] == BOTH]
    assert len(twice) > 10
    assert all(first != second or first == 30 for first, second in twice)


def test_arguments_of_rand_augment() -> None:
    def at(magnitude: float) -> dict[Operation, float]:
        return {operation: argument_of(operation, magnitude, -1) for operation in DRAWN}

    assert at(0) == {
        **dict.fromkeys(DRAWN, 0),
        **dict.fromkeys(("color", "contrast", "brightness", "sharpness"), 1),
        "solarize": 256,
        "posterize": 8,
    }
    whole = at(10)
    assert whole == pytest.approx(
        {
            "identity": 0,
            "auto_contrast": 0,
            "equalize": 0,
            "rotate": -30,
            "solarize": 0,
            "color": 0.1,
            "posterize": 4,
            "contrast": 0.1,
            "brightness": 0.1,
            "sharpness": 0.1,
            "shear_x": -0.3,
            "shear_y": -0.3,
            "translate_x": -0.45,
            "translate_y": -0.45,
        }
    )
    assert argument_of("color", 10, 1) == pytest.approx(1.9)
    assert argument_of("solarize", 9, 1) == 256 - 230
    assert argument_of("posterize", 9, 1) == 4  # rounded, from 4.4
    assert argument_of("translate_x", 5, 1) == pytest.approx(0.225)


def test_arguments_of_auto_augments_table() -> None:
    assert [table_argument("posterize", magnitude, 1) for magnitude in (0, 5, 6, 7, 8, 10)] == [4, 6, 6, 7, 7, 8]
    assert [table_argument("solarize", magnitude, -1) for magnitude in (0, 5, 10)] == [0, 128, 256]
    assert table_argument("color", 0, -1) == pytest.approx(0.1)
    assert table_argument("contrast", 8, -1) == pytest.approx(1.54)
    assert table_argument("rotate", 9, -1) == pytest.approx(-27)
    assert table_argument("shear_x", 5, 1) == pytest.approx(0.15)


def test_the_table_has_the_papers_pairs() -> None:
    assert len(IMAGENET) == 25
    assert len(set(IMAGENET)) == 20
    assert IMAGENET[0] == (("posterize", 0.4, 8), ("rotate", 0.6, 9))
    assert IMAGENET[14] == IMAGENET[23] == (("color", 0.6, 4), ("contrast", 1.0, 8))
    assert IMAGENET[24] == IMAGENET[2] == (("equalize", 0.8, 8), ("equalize", 0.6, 3))
    assert Counter(operation for pair in IMAGENET for operation, _, _ in pair) == {
        "equalize": 17,
        "solarize": 7,
        "rotate": 6,
        "color": 6,
        "posterize": 5,
        "invert": 3,
        "auto_contrast": 2,
        "contrast": 2,
        "sharpness": 1,
        "shear_x": 1,
    }


def test_every_pair_has_its_part_of_the_chances() -> None:
    chances = np.zeros((50, 2, 3))
    chances[:, 0, 0] = (np.arange(50) // 2 + np.tile([0.0, 0.999], 25)) / 25
    changes = Changes(AutoAugment(policy="imagenet"), chances, np.zeros((50, 2)))
    for row in range(50):
        assert [step.operation for step in changes.steps(row)] == [
            operation for operation, probability, _ in IMAGENET[row // 2] if probability
        ]


def test_each_pair_is_as_likely_and_each_operation_has_its_probability() -> None:
    found = steps(TABLE)
    for name in ("shear_x", "sharpness", "contrast", "invert", "color", "solarize"):
        count = sum(any(step.operation == name for step in each) for each in found)
        missing = [np.prod([1 - p for o, p, _ in pair if o == name], initial=1.0) for pair in IMAGENET]
        assert off(count, 1 - float(np.mean(missing)), len(MANY)) < 4, name
    both = sum(len(each) == 2 for each in found)
    assert off(both, float(np.mean([first[1] * second[1] for first, second in IMAGENET])), len(MANY)) < 4
    turned = [step.argument for each in found for step in each if step.operation == "rotate"]
    assert off(sum(argument > 0 for argument in turned), 0.5, len(turned)) < 4


@pytest.mark.parametrize("augmentation", [PAPER, TRAINED, TABLE], ids=["paper", "trained", "table"])
def test_what_is_drawn_depends_on_seed_epoch_and_sample_alone(augmentation: Augmentation) -> None:
    indices = np.array([7, 3, 2**40, 0])
    together = of(augmentation, indices)
    for row, index in enumerate(indices.tolist()):
        alone = of(augmentation, np.array([index]))
        assert alone.steps(0) == together.steps(row)
        np.testing.assert_array_equal(alone.chances[0], together.chances[row])
    for other in (of(augmentation, indices[::-1]), of(augmentation, indices, 1), of(augmentation, indices, epoch=1)):
        assert not np.isclose(together.chances, other.chances).any()
        assert not np.isclose(together.strays, other.strays).any()


def test_draws_are_those_of_any_other_machine() -> None:
    found = of(TRAINED, np.array([5]), seed=3, epoch=2)
    first = [0.7683353501160277, 0.1990906813456751, 0.5023590728466185]
    np.testing.assert_allclose(found.chances[0, 0], first, rtol=1e-15)
    done = [(step.operation, round(step.argument, 6)) for step in found.steps(0)]
    assert done == [("shear_x", -0.272816), ("color", 0.158231)]
