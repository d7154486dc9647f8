"""Operations on pixels: values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from netspec.training.data.augment.operations import OPERATIONS, transform
from netspec.training.data.augment.policy import DRAWN, Operation, Step, argument_of

SIZES = [(1, 1), (1, 7), (6, 1), (2, 2), (5, 8)]


def done(pixels: np.ndarray, operation: Operation, argument: float = 0.0, *, bgr: bool = False) -> np.ndarray:
    """Return the image after an operation, and check that the operation does not change its input."""
    found = pixels.copy()
    transform(found, [Step(operation, argument)], bgr=bgr)
    return found


def gray(rows: list[list[int]]) -> np.ndarray:
    return np.array(rows, np.uint8)[..., None]


def colored(*pixels: tuple[int, int, int]) -> np.ndarray:
    """Return a row of pixels."""
    return np.array([pixels], np.uint8)


def noise(size: tuple[int, int], channels: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*size, channels), dtype=np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("operation", sorted(set(DRAWN) - {"auto_contrast", "equalize"}))
def test_a_magnitude_of_0_changes_nothing(operation: Operation, size: tuple[int, int], channels: int) -> None:
    pixels = noise(size, channels)
    for sign in (1, -1):
        np.testing.assert_array_equal(done(pixels, operation, argument_of(operation, 0, sign)), pixels)


@pytest.mark.parametrize("operation", sorted(set(DRAWN) - {"auto_contrast", "equalize", "identity"}))
def test_a_magnitude_of_10_changes_an_image_and_each_direction_in_its_own_way(operation: Operation) -> None:
    pixels = noise((20, 30), 3)
    one, other = (done(pixels, operation, argument_of(operation, 10, sign)) for sign in (1, -1))
    assert (one != pixels).any()
    assert (other != pixels).any()
    assert (one != other).any() == (operation not in {"solarize", "posterize"})


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_any_image_keeps_its_shape(operation: Operation, size: tuple[int, int], channels: int) -> None:
    """Even a single pixel, and both as an array of its own and as a view of a batch."""
    batch = np.zeros((3, *size, channels), np.uint8)
    batch[1] = noise(size, channels)
    argument = argument_of(operation, 9, 1)
    expected = done(batch[1], operation, argument)
    transform(batch[1], [Step(operation, argument)])
    np.testing.assert_array_equal(batch[1], expected)
    assert not batch[[0, 2]].any()


@pytest.mark.parametrize("operation", sorted(set(OPERATIONS) - {"color"}))
def test_a_gray_image_is_one_of_three_equal_channels(operation: Operation) -> None:
    pixels = noise((9, 7), 1)
    argument = argument_of(operation, 9, 1)
    three = done(np.repeat(pixels, 3, axis=2), operation, argument)
    np.testing.assert_array_equal(three, np.repeat(done(pixels, operation, argument), 3, axis=2))


def test_a_gray_image_has_no_color_to_change() -> None:
    np.testing.assert_array_equal(done(noise((4, 5), 1), "color", 0.1), noise((4, 5), 1))


def test_inverting_twice_restores_the_image() -> None:
    pixels = noise((4, 5), 3)
    np.testing.assert_array_equal(done(pixels, "invert"), 255 - pixels)
    np.testing.assert_array_equal(done(done(pixels, "invert"), "invert"), pixels)


def test_posterize_keeps_upper_bits() -> None:
    assert done(gray([[0b1011_0111, 0b0000_1111]]), "posterize", 4).ravel().tolist() == [0b1011_0000, 0]
    assert done(gray([[0b1011_0111, 0b0000_1111]]), "posterize", 7).ravel().tolist() == [0b1011_0110, 0b0000_1110]


def test_solarize_inverts_from_its_threshold_on() -> None:
    assert done(gray([[0, 127, 128, 255]]), "solarize", 128).ravel().tolist() == [0, 127, 127, 0]


def test_auto_contrast_stretches_each_channel() -> None:
    found = done(colored((50, 7, 0), (60, 7, 1), (101, 7, 1)), "auto_contrast")
    assert found[0].tolist() == [[0, 7, 0], [50, 7, 255], [255, 7, 255]]


def test_equalize_spreads_what_is_crowded_and_leaves_a_flat_histogram() -> None:
    flat = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    np.testing.assert_array_equal(done(flat, "equalize"), flat)
    crowded = np.repeat(np.array([100, 101, 102, 103], np.uint8), 256).reshape(32, 32, 1)
    assert np.unique(done(crowded, "equalize")).tolist() == [0, 85, 171, 255]  # in steps of (1024 - 256) // 255


def test_a_pixel_is_translated_and_what_is_left_empty_is_gray() -> None:
    pixels = np.zeros((8, 5, 3), np.uint8)
    pixels[1, 1] = 255
    right, down = done(pixels, "translate_x", 0.4), done(pixels, "translate_y", 0.25)
    assert np.argwhere(right[..., 0] == 255).tolist() == [[1, 3]]
    assert np.argwhere(right[..., 2] == 128).tolist() == [[row, column] for row in range(8) for column in (0, 1)]
    assert np.argwhere(down[..., 0] == 255).tolist() == [[3, 1]]
    assert np.argwhere(down[..., 1] == 128).tolist() == [[row, column] for row in (0, 1) for column in range(5)]
    left, up = done(pixels, "translate_x", -0.2), done(pixels, "translate_y", -0.125)
    assert np.argwhere(left[..., 0] == 255).tolist() == [[1, 0]]
    assert np.argwhere(up[..., 0] == 255).tolist() == [[0, 1]]
    assert (left[:, 4] == 128).all()
    assert (up[7] == 128).all()


def test_rows_and_columns_are_sheared_from_the_top_left() -> None:
    rows = np.tile(np.arange(1, 9, dtype=np.uint8), (5, 1))[..., None]
    sheared = done(rows, "shear_x", 0.4)[..., 0]
    for row, moved in enumerate([0, 1, 1, 1, 2]):  # 0.4 times what lies between the top and the middle of the row
        assert sheared[row].tolist() == [*[128] * moved, *range(1, 9 - moved)]
    np.testing.assert_array_equal(done(rows.swapaxes(0, 1).copy(), "shear_y", 0.4)[..., 0], sheared.T)


def test_it_turns_counterclockwise_about_the_centre() -> None:
    pixels = noise((7, 7), 3)
    np.testing.assert_array_equal(done(pixels, "rotate", 90), np.rot90(pixels))
    turned = done(pixels, "rotate", 30)
    np.testing.assert_array_equal(turned[3, 3], pixels[3, 3])
    assert (turned[[0, 0, 6, 6], [0, 6, 0, 6]] == 128).all()


def test_color_goes_to_the_gray_of_red_green_and_blue() -> None:
    """Which weigh 0.299, 0.587 and 0.114, in whichever order they stand."""
    red, blue = colored((255, 0, 0)), colored((0, 0, 255))
    assert done(red, "color", 0).ravel().tolist() == [76] * 3
    assert done(blue, "color", 0).ravel().tolist() == [29] * 3
    assert done(blue, "color", 0, bgr=True).ravel().tolist() == [76] * 3
    assert done(colored((100, 150, 200)), "color", 2).ravel().tolist() == [59, 159, 255]  # from 141


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_order_of_channels_makes_no_other_difference(operation: Operation) -> None:
    pixels, argument = noise((6, 9), 3), argument_of(operation, 9, 1)
    turned = done(pixels[..., ::-1].copy(), operation, argument, bgr=True)
    np.testing.assert_array_equal(turned[..., ::-1], done(pixels, operation, argument))


def test_contrast_goes_to_the_mean() -> None:
    assert done(gray([[10, 20, 60]]), "contrast", 0).ravel().tolist() == [30] * 3
    assert done(gray([[10, 20, 60]]), "contrast", 1.5).ravel().tolist() == [0, 15, 75]


def test_brightness_goes_to_black() -> None:
    assert done(gray([[10, 20, 200]]), "brightness", 0.5).ravel().tolist() == [5, 10, 100]
    assert done(gray([[10, 20, 200]]), "brightness", 1.5).ravel().tolist() == [15, 30, 255]


def test_sharpness_goes_to_the_smoothed_image_inside_of_its_border() -> None:
    pixels = gray([[0, 0, 0], [0, 130, 0], [0, 0, 0]])
    smoothed = done(pixels, "sharpness", 0)
    assert smoothed[1, 1, 0] == 50  # 5 of 13 parts
    assert smoothed.sum() == 50
    assert done(pixels, "sharpness", 1.5)[1, 1, 0] == 170


def test_operations_are_done_in_their_order() -> None:
    pixels = gray([[100, 200]])
    transform(pixels, [Step("invert", 0), Step("brightness", 0.5), Step("posterize", 4)])
    assert pixels.ravel().tolist() == [64, 16]  # of 77 and 27
