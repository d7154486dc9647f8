"""The sizes of random crops: resized ones, shorter sides that are drawn, and crops of padded images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from netspec.ops.attributes import both
from netspec.preprocessing import resize
from netspec.recipe import (
    Augmentation,
    RandomResizedCrop,
)
from netspec.training.data.augmentation import cut
from tests.training.data.test_augmentation import of

MANY = np.arange(20_000)
RESIZED = Augmentation(random_resized_crop=RandomResizedCrop())
JITTERED = Augmentation(random_shorter_side=(256, 480), random_crop=both(224))


def extents(augmentation: Augmentation, image: tuple[int, int], crop: tuple[int, int] = (224, 224)) -> np.ndarray:
    draws = of(MANY, augmentation)
    return np.array([draws.extent(row, image, crop) for row in range(len(MANY))])


def largest_gap(values: np.ndarray, least: float, greatest: float) -> float:
    """Kolmogorov's distance from an even distribution; 0.0138 is passed once in a thousand seeds of 20,000."""
    even = (np.sort(values) - least) / (greatest - least)
    return float(np.abs(even - (np.arange(len(values)) + 0.5) / len(values)).max())


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
    expected = len(MANY) / 225
    assert ((counts - expected) ** 2 / expected).sum() < 295  # chi squared of 224 degrees: once in a thousand seeds


def test_a_side_that_does_not_cover_the_crop_grows_until_it_does() -> None:
    wide = Augmentation(random_shorter_side=(8, 8))
    assert of(np.arange(1), wide).extent(0, (16, 64), (8, 16)) == (16, 32)
    assert of(np.arange(1), wide).extent(0, (16, 16), (8, 16)) == (8, 16)
    assert of(np.arange(1), wide).extent(0, (4, 4), (8, 8)) == (4, 4)


def test_what_decides_the_size_depends_on_no_other_sample() -> None:
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
