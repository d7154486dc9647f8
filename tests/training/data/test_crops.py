"""Crops are the same from every layout of an image in memory."""

from __future__ import annotations

import numpy as np
import pytest

from netspec.recipe import Augmentation, RandomResizedCrop
from netspec.training.data.augmentation import Draws, cut, draw


@pytest.mark.parametrize("into", ["a batch", "a part of a map"])
@pytest.mark.parametrize("width", [1, 2, 5, 8, 11])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("reverse", [False, True], ids=["rgb", "bgr"])
@pytest.mark.parametrize("flip", [False, True])
def test_a_crop_is_cut_and_mirrored(flip: bool, reverse: bool, channels: int, width: int, into: str) -> None:
    image = np.random.default_rng(0).integers(0, 256, (9, 12, channels), dtype=np.uint8)
    image = image[..., ::-1] if reverse else image
    corners = np.array([[0.0, 0.0], [0.5, 0.99]])
    draws = Draws(Augmentation(), np.zeros((2, 2)), corners, np.array([not flip, flip]), None)
    target = np.zeros((4, width, channels), np.uint8)
    if into == "a part of a map":
        target = np.zeros((4, width + 1, channels), np.uint8)[:, 1:]
    cut(target, image, 1, draws)
    crop = image[3:7, 12 - width : 12]
    np.testing.assert_array_equal(target, crop[:, ::-1] if flip else crop)


@pytest.mark.parametrize("flip", [False, True])
def test_a_part_is_resized_as_well_from_an_image_that_is_backwards_in_memory(flip: bool) -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    backwards = image[..., ::-1].copy()[..., ::-1]
    draws = draw(0, 0, np.arange(9), Augmentation(random_resized_crop=RandomResizedCrop(), horizontal_flip=flip))
    for row in range(9):
        expected, target = np.empty((8, 10, 3), np.uint8), np.empty((8, 10, 3), np.uint8)
        cut(expected, image, row, draws)
        cut(target, backwards, row, draws)
        np.testing.assert_array_equal(target, expected)
