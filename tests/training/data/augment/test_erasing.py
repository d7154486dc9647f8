"""Random erasing: how often, how much, where, and with which pixels."""

from __future__ import annotations

import numpy as np
import pytest

from netspec.recipe import Augmentation, RandomErasing
from netspec.training.data.augment.erasing import Box, Erasures, draw_erasures
from tests.training.data.distributions import chi_squared, largest_gap

MANY = np.arange(20_000)
ALWAYS = RandomErasing(probability=1.0)


def of(erasing: RandomErasing = ALWAYS, indices: np.ndarray = MANY, seed: int = 0, epoch: int = 0) -> Erasures:
    found = draw_erasures(seed, epoch, indices, Augmentation(random_erasing=erasing))
    assert found is not None
    return found


def boxes(erasing: RandomErasing, image: tuple[int, int]) -> list[Box]:
    erasures = of(erasing)
    return [box for row in range(len(MANY)) if (box := erasures.box(row, image))]


def erased(pixels: np.ndarray, erasures: Erasures, row: int = 0) -> np.ndarray:
    found = pixels.copy()
    erasures.erase(found, row)
    return found


def test_without_it_nothing_is_drawn() -> None:
    assert draw_erasures(0, 0, MANY, Augmentation(horizontal_flip=True)) is None


def test_erasing_has_its_probability() -> None:
    count = len(boxes(RandomErasing(probability=0.25), (224, 224)))
    assert abs(count / len(MANY) - 0.25) < 4 * np.sqrt(0.25 * 0.75 / len(MANY))


def test_areas_and_logarithms_of_ratios_are_evenly_distributed() -> None:
    _, _, rows, columns = np.array(boxes(RandomErasing(probability=1, area=(0.02, 0.3)), (3000, 3000))).T
    assert largest_gap(rows * columns / 3000**2, 0.02, 0.3) < 0.0138
    assert largest_gap(np.log(columns / rows), np.log(0.3), -np.log(0.3)) < 0.0138
    assert abs(np.corrcoef(rows * columns, np.log(columns / rows))[0, 1]) < 4 / np.sqrt(len(MANY))  # drawn apart


def test_every_legal_place_is_as_likely_and_none_is_outside() -> None:
    square = RandomErasing(probability=1, area=(0.25, 0.25), aspect_ratio=(1, 1))
    found = boxes(square, (6, 6))
    assert {(box.rows, box.columns) for box in found} == {(3, 3)}
    counts = np.zeros((4, 4))
    np.add.at(counts, tuple(np.array([box[:2] for box in found]).T), 1)
    assert chi_squared(counts, len(MANY) / 16) < 37.7  # of 15 degrees: exceeded once in a thousand seeds
    for image in ((224, 224), (3, 90), (1, 1)):
        tops, lefts, rows, columns = np.array(boxes(ALWAYS, image)).T
        assert (tops + rows).max() == image[0]
        assert (lefts + columns).max() == image[1]
        assert min(tops.min(), lefts.min()) == 0
        assert min(rows.min(), columns.min()) >= 1


@pytest.mark.parametrize("channels", [1, 3])
def test_values_are_random_from_0_to_255_in_the_rectangle_only(channels: int) -> None:
    pixels = np.full((200, 300, channels), 77, np.uint8)
    erasures = of()
    values = []
    for row in range(50):
        box = erasures.box(row, (200, 300))
        assert box is not None
        inside = np.zeros((200, 300), bool)
        inside[box.top : box.top + box.rows, box.left : box.left + box.columns] = True
        found = erased(pixels, erasures, row)
        assert (found[~inside] == 77).all()
        values.append(found[inside].ravel())
    counts = np.bincount(np.concatenate(values), minlength=256)
    assert chi_squared(counts, counts.sum() / 256) < 330.6  # of 255 degrees: exceeded once in a thousand seeds
    assert len({each[:50].tobytes() for each in values}) == 50


def test_channels_and_pixels_are_drawn_apart() -> None:
    erasures = of(RandomErasing(probability=1, area=(1, 1), aspect_ratio=(1, 1)))
    found = erased(np.zeros((100, 100, 3), np.uint8), erasures).astype(float)
    assert np.abs(np.corrcoef(found.reshape(-1, 3).T) - np.eye(3)).max() < 0.04
    assert abs(np.corrcoef(found[:, 1:].ravel(), found[:, :-1].ravel())[0, 1]) < 0.03


def test_an_image_of_one_pixel_is_erased_whole() -> None:
    draws = of()
    found = {erased(np.zeros((1, 1, 1), np.uint8), draws, row).item() for row in range(2000)}
    assert found == set(range(256))


def test_what_is_erased_depends_on_seed_epoch_and_sample_alone() -> None:
    pixels = np.zeros((30, 40, 3), np.uint8)
    indices = np.array([7, 3, 2**40, 0])
    together = of(indices=indices)
    for row, index in enumerate(indices.tolist()):
        np.testing.assert_array_equal(erased(pixels, of(indices=np.array([index]))), erased(pixels, together, row))
    for other in (of(indices=indices[::-1]), of(indices=indices, seed=1), of(indices=indices, epoch=1)):
        for row in range(4):
            assert (erased(pixels, other, row) != erased(pixels, together, row)).mean() > 0.02
            assert together.box(row, (300, 400)) != other.box(row, (300, 400))


def test_values_are_drawn_anew_where_the_rectangle_is_the_same() -> None:
    whole = RandomErasing(probability=1, area=(1, 1), aspect_ratio=(1, 1))
    pixels = np.zeros((8, 8, 3), np.uint8)
    each = ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1))
    found = [of(whole, np.array([index]), seed, epoch) for index, seed, epoch in each]
    assert len({erased(pixels, each).tobytes() for each in found}) == 4


def test_draws_are_those_of_any_other_machine() -> None:
    found = of(indices=np.array([5]), seed=3, epoch=2)
    assert found.box(0, (224, 224)) == Box(38, 49, 132, 111)
    assert erased(np.zeros((4, 4, 1), np.uint8), found)[1:3, 1:3, 0].tolist() == [[70, 40], [0, 230]]
