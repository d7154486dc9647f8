"""Draws for an image depend only on the seed, the epoch and the sample, and have the right distribution."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from netspec.ops.attributes import both
from netspec.preprocessing import resize
from netspec.recipe import (
    Augmentation,
    AutoAugment,
    ColorJitter,
    ColorNoise,
    ElasticDeformation,
    RandAugment,
    RandomErasing,
    RandomResizedCrop,
)
from netspec.training.data.augment.operations import transform
from netspec.training.data.augmentation import Draws, cut, draw, evaluation_views
from netspec.training.data.deformation import deform, field
from netspec.training.data.statistics import Components
from tests.training.data.distributions import chi_squared, largest_gap

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
    """Otherwise a run that is continued on another machine would see other crops."""
    found = of(np.array([5]), seed=3, epoch=2)
    np.testing.assert_allclose(found.corners, [[0.678059115701171, 0.08831982972962316]], rtol=1e-15)
    np.testing.assert_allclose(found.shifts, [[0.050354134, -0.291606456, 3.423839569]], rtol=1e-6)


def test_every_legal_crop_is_as_likely() -> None:
    draws = of(MANY)
    corners = np.array([draws.corner(row, (2, 4)) for row in range(len(MANY))])
    counts = np.zeros((3, 5))
    np.add.at(counts, tuple(corners.T), 1)  # an offset beyond the legal ones would be out of range
    assert chi_squared(counts, len(MANY) / 15) < 36  # of 14 degrees: exceeded once in a thousand seeds
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


def test_adding_an_augmentation_does_not_change_the_draws_of_others() -> None:
    crops = of(np.arange(9), Augmentation(random_crop=both(5)))
    np.testing.assert_array_equal(crops.corners, of(np.arange(9)).corners)
    noise = of(np.arange(9), Augmentation(color_noise=ColorNoise(std=0.1)))
    np.testing.assert_array_equal(noise.shifts, of(np.arange(9)).shifts)


CHANGED = {
    "rand_augment": {"rand_augment": RandAugment(magnitude_std=0.5, probability=0.5)},
    "auto_augment": {"auto_augment": AutoAugment(policy="imagenet")},
    "color_jitter": {"color_jitter": ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4)},
    "jitter and policy": {"color_jitter": ColorJitter(contrast=1.0), "rand_augment": RandAugment()},
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
        if steps := draws.steps(row):
            transform(expected, steps, bgr=order == "bgr")
        if draws.erasures:
            draws.erasures.erase(expected, row)
        cut(found, image, row, draws)
        np.testing.assert_array_equal(found, expected)
        changed += (found != crop).any()
    assert changed > 15


@pytest.mark.parametrize("spare", [(0, 0), (4, 6), (5, 7)])
def test_without_a_random_crop_it_is_the_centre(spare: tuple[int, int]) -> None:
    assert of(np.arange(3), Augmentation(horizontal_flip=True)).corner(1, spare) == (spare[0] // 2, spare[1] // 2)


RESIZED = Augmentation(random_resized_crop=RandomResizedCrop())
JITTERED = Augmentation(random_shorter_side=(256, 480), random_crop=both(224))


def extents(augmentation: Augmentation, image: tuple[int, int], crop: tuple[int, int] = (224, 224)) -> np.ndarray:
    draws = of(MANY, augmentation)
    return np.array([draws.extent(row, image, crop) for row in range(len(MANY))])


def test_a_resized_crop_has_an_even_area_and_an_even_logarithm_of_its_ratio() -> None:
    rows, columns = extents(RESIZED, (2000, 2000)).T
    area, ratio = rows * columns / 2000**2, columns / rows
    assert largest_gap(area, 0.08, 1) < 0.0138
    fits = area <= 3 / 4  # every ratio does there
    assert largest_gap(np.log(ratio[fits]), np.log(3 / 4), np.log(4 / 3)) < 0.016
    assert rows.max() <= 2000
    assert columns.max() <= 2000


def test_a_resized_crop_of_a_thin_image_has_the_nearest_ratio() -> None:
    rows, columns = extents(RESIZED, (30, 3000)).T
    assert rows.max() == 30
    np.testing.assert_allclose((columns / rows)[rows == 30].max(), 4 / 3, rtol=0.02)
    tall = extents(RESIZED, (3000, 30))
    assert tall[:, 1].max() == 30
    assert extents(RESIZED, (1, 1)).tolist() == [[1, 1]] * len(MANY)


def test_a_shorter_side_is_drawn_evenly_with_both_bounds() -> None:
    rows = extents(JITTERED, (2240 * 480, 2240 * 480))[:, 0]
    sides = np.rint(224 * 2240 * 480 / rows)
    assert (sides.min(), sides.max()) == (256, 480)
    counts = np.bincount(sides.astype(int))[256:]
    assert chi_squared(counts, len(MANY) / 225) < 295  # of 224 degrees: exceeded once in a thousand seeds


def test_a_side_that_does_not_cover_the_crop_grows_until_it_does() -> None:
    wide = Augmentation(random_shorter_side=(8, 8))
    assert of(np.arange(1), wide).extent(0, (16, 64), (8, 16)) == (16, 32)
    assert of(np.arange(1), wide).extent(0, (16, 16), (8, 16)) == (8, 16)
    assert of(np.arange(1), wide).extent(0, (4, 4), (8, 8)) == (4, 4)


def test_the_size_of_a_crop_depends_on_no_other_sample() -> None:
    together, alone = of(np.array([7, 3]), RESIZED), of(np.array([3]), RESIZED)
    assert together.extent(1, (500, 400), (224, 224)) == alone.extent(0, (500, 400), (224, 224))
    np.testing.assert_allclose(
        of(np.array([5]), seed=3, epoch=2).zooms, [[0.8857045043124075, 0.3708292378906538]], rtol=1e-15
    )
    np.testing.assert_array_equal(together.corners, of(np.array([7, 3])).corners)  # as those of any other crop


def test_a_part_of_the_image_is_resized() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    draws = of(np.arange(20), RESIZED)
    for row in range(20):
        target = np.empty((8, 10, 3), np.uint8)
        cut(target, image, row, draws)
        rows, columns = draws.extent(row, (40, 60), (8, 10))
        top, left = draws.corner(row, (40 - rows, 60 - columns))
        np.testing.assert_array_equal(target, resize(image[top : top + rows, left : left + columns], 8, 10))


def test_a_crop_is_cut_from_a_padded_image_and_every_place_is_as_likely() -> None:
    image = np.random.default_rng(0).integers(1, 256, (6, 7, 3), dtype=np.uint8)
    padded = np.zeros((10, 11, 3), np.uint8)
    padded[2:8, 2:9] = image
    draws = of(np.arange(500), Augmentation(random_crop={"height": 6, "width": 7}, crop_padding=2))
    seen = set()
    for row in range(500):
        target = np.empty_like(image)
        cut(target, image, row, draws)
        top, left = draws.corner(row, (4, 4))
        np.testing.assert_array_equal(target, padded[top : top + 6, left : left + 7])
        seen.add((top, left))
    assert len(seen) == 25


@pytest.mark.parametrize(
    ("others", "message"),
    [({}, "add `random_crop`"), ({"random_crop": both(32), "random_shorter_side": (40, 48)}, "of one size")],
)
def test_padding_is_of_a_random_crop_from_an_image_of_one_size(others: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Augmentation(crop_padding=4, **others)


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
    assert chi_squared(counts, len(MANY) / 4) < 16  # of 3 degrees: exceeded once in a thousand seeds
    alone = of(np.array([7]), ELASTIC)
    np.testing.assert_array_equal(alone.displacements[0], draws.displacements[7])
    assert alone.turns[0] == draws.turns[7]
    assert not np.isclose(of(np.array([7]), ELASTIC, epoch=1).displacements, alone.displacements).any()
    assert of(MANY[:5], Augmentation()).turns is None
    np.testing.assert_array_equal(
        of(MANY[:5], ELASTIC.model_copy(update={"random_crop": both(5)})).corners, of(MANY[:5]).corners
    )


def test_an_image_and_its_mask_are_deformed_in_the_same_way() -> None:
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
