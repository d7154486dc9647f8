"""What is drawn for an image: of the seed, the epoch and the sample alone, and of the right distribution."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from netspec.ops.attributes import both
from netspec.recipe import (
    Augmentation,
    AutoAugment,
    ColorNoise,
    ElasticDeformation,
    RandAugment,
    RandomErasing,
)
from netspec.training.data.augment.operations import transform
from netspec.training.data.augmentation import Draws, cut, draw, evaluation_views
from netspec.training.data.deformation import deform, field
from netspec.training.data.statistics import Components

ALL = Augmentation(random_crop=both(5), horizontal_flip=True, color_noise=ColorNoise(std=0.1))
VECTORS = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
COMPONENTS = Components(np.full(3, 120.0), np.array([4000.0, 300.0, 20.0]), VECTORS)
MANY = np.arange(20_000)


def of(indices: np.ndarray, augmentation: Augmentation = ALL, seed: int = 0, epoch: int = 0) -> Draws:
    return draw(seed, epoch, indices, augmentation, COMPONENTS)


def test_a_draw_depends_on_no_other_sample() -> None:
    together = of(np.array([7, 3, 12_345, 0]))
    for row, index in enumerate([7, 3, 12_345, 0]):
        alone = of(np.array([index]))
        np.testing.assert_array_equal(alone.corners[0], together.corners[row])
        assert alone.flips[0] == together.flips[row]
        assert alone.shifts[0].tobytes() == together.shifts[row].tobytes()


def test_seed_epoch_and_sample_each_change_it() -> None:
    first = of(np.array([1]))
    for other in (of(np.array([2])), of(np.array([1]), epoch=1), of(np.array([1]), seed=1)):
        assert not np.isclose(first.corners, other.corners).any()
        assert not np.isclose(first.shifts, other.shifts).any()


def test_samples_far_apart_and_large_seeds() -> None:
    found = of(np.array([0, 2**31, 2**40]), seed=2**63)
    assert len(np.unique(found.corners)) == 6


def test_draws_are_those_of_any_other_machine() -> None:
    """A run that is continued elsewhere would otherwise see other crops."""
    found = of(np.array([5]), seed=3, epoch=2)
    np.testing.assert_allclose(found.corners, [[0.678059115701171, 0.08831982972962316]], rtol=1e-15)
    np.testing.assert_allclose(found.shifts, [[0.050354134, -0.291606456, 3.423839569]], rtol=1e-6)


def test_every_legal_crop_is_as_likely() -> None:
    draws = of(MANY)
    corners = np.array([draws.corner(row, (2, 4)) for row in range(len(MANY))])
    counts = np.zeros((3, 5))
    np.add.at(counts, tuple(corners.T), 1)  # an offset beyond the legal ones would be out of range
    expected = len(MANY) / 15
    assert ((counts - expected) ** 2 / expected).sum() < 36  # chi squared of 14 degrees: once in a thousand seeds
    assert draws.corner(0, (0, 0)) == (0, 0)


def test_half_of_them_are_mirrored() -> None:
    assert abs(of(MANY).flips.mean() - 0.5) < 4 * 0.5 / np.sqrt(len(MANY))
    assert not of(MANY, Augmentation()).flips.any()


def test_color_noise_follows_the_components() -> None:
    shifts = of(MANY).shifts
    assert shifts.dtype == np.float32
    covariance = 0.1**2 * VECTORS @ np.diag(COMPONENTS.values) @ VECTORS.T
    np.testing.assert_allclose(np.cov(shifts.T), covariance, atol=0.04 * np.abs(covariance).max())
    np.testing.assert_allclose(shifts.mean(axis=0), 0, atol=4 * np.sqrt(covariance.max() / len(MANY)))
    assert of(MANY, Augmentation()).shifts is None


def test_what_is_added_leaves_the_rest_as_it_was() -> None:
    crops = of(np.arange(9), Augmentation(random_crop=both(5)))
    np.testing.assert_array_equal(crops.corners, of(np.arange(9)).corners)
    noise = of(np.arange(9), Augmentation(color_noise=ColorNoise(std=0.1)))
    np.testing.assert_array_equal(noise.shifts, of(np.arange(9)).shifts)


CHANGED = {
    "rand_augment": {"rand_augment": RandAugment(magnitude_std=0.5, probability=0.5)},
    "auto_augment": {"auto_augment": AutoAugment(policy="imagenet")},
    "random_erasing": {"random_erasing": RandomErasing(probability=1.0)},
    "both": {"rand_augment": RandAugment(), "random_erasing": RandomErasing(probability=1.0)},
}


@pytest.mark.parametrize("added", CHANGED.values(), ids=CHANGED)
def test_a_policy_leaves_crops_flips_and_noise_as_they_were(added: dict[str, Any]) -> None:
    plain, changed = of(np.arange(99)), of(np.arange(99), ALL.model_copy(update=added))
    for name in ("corners", "flips", "zooms", "shifts"):
        np.testing.assert_array_equal(getattr(changed, name), getattr(plain, name))


def test_what_is_erased_is_the_same_with_and_without_a_policy() -> None:
    alone, beside = (of(np.arange(99), Augmentation(**CHANGED[name])) for name in ("random_erasing", "both"))
    assert alone.erasures is not None
    assert beside.erasures is not None
    assert [alone.erasures.box(row, (30, 40)) for row in range(99)] == [
        beside.erasures.box(row, (30, 40)) for row in range(99)
    ]


@pytest.mark.parametrize("order", ["rgb", "bgr", "gray"])
@pytest.mark.parametrize("added", CHANGED.values(), ids=CHANGED)
def test_a_crop_is_cut_mirrored_changed_and_then_erased(added: dict[str, Any], order: str) -> None:
    own = Augmentation(random_crop={"height": 12, "width": 15}, horizontal_flip=True, **added)
    channels = 1 if order == "gray" else 3
    image = np.random.default_rng(0).integers(0, 256, (20, 30, channels), dtype=np.uint8)
    image = image[..., ::-1] if order == "bgr" else image
    draws = draw(0, 0, np.arange(40), own, bgr=order == "bgr")
    plain = draw(0, 0, np.arange(40), Augmentation(random_crop=own.random_crop, horizontal_flip=True))
    changed = 0
    for row in range(40):
        expected, found = np.empty((12, 15, channels), np.uint8), np.empty((12, 15, channels), np.uint8)
        cut(expected, image, row, plain)
        crop = expected.copy()
        if draws.changes:
            transform(expected, draws.changes.steps(row), bgr=order == "bgr")
        if draws.erasures:
            draws.erasures.erase(expected, row)
        cut(found, image, row, draws)
        np.testing.assert_array_equal(found, expected)
        changed += (found != crop).any()
    assert changed > 15


@pytest.mark.parametrize("spare", [(0, 0), (4, 6), (5, 7)])
def test_without_a_random_crop_it_is_the_centre(spare: tuple[int, int]) -> None:
    assert of(np.arange(3), Augmentation(horizontal_flip=True)).corner(1, spare) == (spare[0] // 2, spare[1] // 2)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("reverse", [False, True], ids=["rgb", "bgr"])
@pytest.mark.parametrize("flip", [False, True])
def test_a_crop_is_cut_and_mirrored(flip: bool, reverse: bool, channels: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (9, 12, channels), dtype=np.uint8)
    image = image[..., ::-1] if reverse else image
    draws = Draws(
        Augmentation(), np.zeros((2, 2)), np.array([[0.0, 0.0], [0.5, 0.99]]), np.array([not flip, flip]), None
    )
    target = np.empty((4, 5, channels), np.uint8)
    cut(target, image, 1, draws)
    crop = image[3:7, 7:12]
    np.testing.assert_array_equal(target, crop[:, ::-1] if flip else crop)


def test_one_view_is_the_centre() -> None:
    image = np.arange(5 * 8 * 3, dtype=np.uint8).reshape(5, 8, 3)
    np.testing.assert_array_equal(evaluation_views(image, 2, 3, 1), image[None, 1:3, 2:5])


def test_ten_views_are_corners_and_centre_and_their_mirrors() -> None:
    image = np.arange(5 * 8 * 3, dtype=np.uint8).reshape(5, 8, 3)
    views = evaluation_views(image, 2, 3, 10)
    five = [image[:2, :3], image[:2, 5:], image[3:, :3], image[3:, 5:], image[1:3, 2:5]]
    np.testing.assert_array_equal(views[:5], five)
    np.testing.assert_array_equal(views[5:], [view[:, ::-1] for view in five])


def test_a_displacement_that_is_the_same_everywhere_is_a_shift() -> None:
    image = np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    moved = deform(image, np.broadcast_to([2.0, -3.0], (3, 3, 2)))
    np.testing.assert_array_equal(moved[:7, 3:], image[2:, :9])
    np.testing.assert_array_equal(moved[7:, 3:], image[6:8, :9][::-1])  # mirrored at the edge
    halfway = deform(image, np.broadcast_to([0.0, 0.5], (2, 2, 2)))
    mean = (image[:, :-1].astype(float) + image[:, 1:]) / 2
    assert np.abs(halfway[:, :-1] - mean).max() <= 0.5


def test_displacements_are_met_at_their_points_and_vary_smoothly_between() -> None:
    drawn = np.random.default_rng(1).normal(size=(3, 3, 2)) * 10
    found = field(drawn, 101, 81)
    np.testing.assert_allclose(found[:, ::50, ::40], drawn.transpose(2, 0, 1), atol=1e-10)
    assert np.abs(np.diff(found, axis=1)).max() < 1.5
    # Along a line through two points a cubic, no broken line: in the middle of three it has no corner.
    line = found[0, :, 0]
    assert abs((line[51] - line[50]) - (line[50] - line[49])) < 0.05


ELASTIC = Augmentation(quarter_turns=True, elastic_deformation=ElasticDeformation(grid=4, std=2.5))


def test_turns_and_displacements_are_of_the_seed_the_epoch_and_the_sample() -> None:
    draws = of(MANY, ELASTIC)
    assert draws.displacements.shape == (len(MANY), 4, 4, 2)
    assert abs(draws.displacements.std() - 2.5) < 0.01
    counts = np.bincount(draws.turns)
    assert len(counts) == 4
    assert ((counts - len(MANY) / 4) ** 2 / (len(MANY) / 4)).sum() < 16  # chi squared of 3 degrees, once in a thousand
    alone = of(np.array([7]), ELASTIC)
    np.testing.assert_array_equal(alone.displacements[0], draws.displacements[7])
    assert alone.turns[0] == draws.turns[7]
    assert not np.isclose(of(np.array([7]), ELASTIC, epoch=1).displacements, alone.displacements).any()
    assert of(MANY[:5], Augmentation()).turns is None
    np.testing.assert_array_equal(
        of(MANY[:5], ELASTIC.model_copy(update={"random_crop": both(5)})).corners, of(MANY[:5]).corners
    )


def test_an_image_and_its_mask_are_deformed_alike() -> None:
    mask = np.kron(np.random.default_rng(2).integers(0, 4, (5, 5), np.uint8), np.ones((8, 8), np.uint8))[..., None]
    draws = of(np.arange(8), ELASTIC)
    for row in range(8):
        image, labels = np.empty((40, 40, 1), np.uint8), np.empty((40, 40, 1), np.uint8)
        cut(image, 60 * mask, row, draws)
        cut(labels, mask, row, draws, nearest=True)
        assert set(np.unique(labels)) <= {0, 1, 2, 3}
        difference = np.abs(image.astype(int) - 60 * labels)
        assert difference.max() <= 135  # the nearest of four pixels counts a fourth at least
        assert (difference > 60).mean() < 0.1
        assert (labels != mask).mean() > 0.1
