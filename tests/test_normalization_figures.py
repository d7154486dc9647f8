"""From pixels to inputs by figures or by images, and a mean that is computed from a training set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from netspec.errors import NetspecError
from netspec.graph import MeanImage, Normalization, Preprocessing
from netspec.preprocessing import load_image, normalization, normalize, require_mean, resolve_mean

SHAPE = (3, 4, 5)
RANDOM = np.random.default_rng(0)
NUMBERS = RANDOM.uniform(0, 255, SHAPE).astype(np.float32)
PIXELS = RANDOM.integers(0, 256, (7, *SHAPE), dtype=np.uint8)


def test_figures_are_arrays_of_the_channels() -> None:
    found = normalization(Preprocessing(mean=(127.5,), scale=0.5, std=(1.0, 2.0, 4.0)), SHAPE)
    assert isinstance(found, Normalization)
    assert (found.mean.shape, found.factor.shape) == ((3, 1, 1), (3, 1, 1))
    assert found.mean.dtype == found.factor.dtype == np.float32
    assert found.mean.flags.writeable
    assert found.factor.flags.writeable
    assert found.mean.ravel().tolist() == [127.5] * 3
    assert found.factor.ravel().tolist() == [0.5, 0.25, 0.125]


def test_without_a_preprocessing_pixels_stay() -> None:
    found = normalization(None, SHAPE)
    np.testing.assert_array_equal((PIXELS - found.mean) * found.factor, PIXELS)


def test_a_mean_image_is_subtracted_pixel_by_pixel() -> None:
    preprocessing = Preprocessing(mean=MeanImage.of(NUMBERS), scale=0.5)
    np.testing.assert_array_equal(normalization(preprocessing, SHAPE).mean, NUMBERS)
    np.testing.assert_array_equal(normalize(PIXELS, preprocessing), (PIXELS - NUMBERS) * np.float32(0.5))


def test_a_photograph_is_cut_to_the_centre_before_its_mean_image_is_subtracted(tmp_path: Path) -> None:
    pixels = RANDOM.integers(0, 256, (8, 9, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = load_image(tmp_path / "a.png", SHAPE, Preprocessing(channel_order="bgr", mean=MeanImage.of(NUMBERS)))
    np.testing.assert_array_equal(found, pixels[2:6, 2:7, ::-1].transpose(2, 0, 1) - NUMBERS)


@pytest.mark.parametrize(
    ("preprocessing", "message"),
    [
        (Preprocessing(mean=(1.0, 2.0)), "mean: expected 1 value, or 3: one a channel, received 2"),
        (Preprocessing(std=(1.0, 2.0)), "std: expected 1 value, or 3: one a channel, received 2"),
        (Preprocessing(mean=MeanImage.of(NUMBERS[:, 1:])), r"input's shape \(3, 4, 5\), received one of \(3, 3, 5\)"),
    ],
)
def test_figures_of_another_shape_are_refused(preprocessing: Preprocessing, message: str) -> None:
    with pytest.raises(NetspecError, match=message):
        normalize(PIXELS, preprocessing)


@pytest.mark.parametrize("word", ["per_channel", "per_pixel"])
def test_a_mean_that_is_not_known_is_an_error_with_a_way_out(tmp_path: Path, word: str) -> None:
    preprocessing = Preprocessing.model_validate({"mean": word})
    Image.new("RGB", (5, 4)).save(tmp_path / "a.png")
    for use in (
        lambda: require_mean(preprocessing),
        lambda: normalization(preprocessing, SHAPE),
        lambda: normalize(PIXELS, preprocessing),
        lambda: load_image(tmp_path / "a.png", SHAPE, preprocessing),
    ):
        with pytest.raises(NetspecError, match="the mean is that of the training set") as caught:
            use()
        assert "runs/NAME/spec.yaml" in caught.value.hint


def test_a_mean_by_channel_is_written_in_few_digits_and_means_the_same_float32() -> None:
    mean = np.array([123.68, 1 / 3, 100 / 7])
    found = resolve_mean(Preprocessing(mean="per_channel", scale=0.5), mean)
    assert found == Preprocessing(mean=(123.68, 0.33333334, 14.285714), scale=0.5)
    np.testing.assert_array_equal(normalization(found, SHAPE).mean.ravel(), mean.astype(np.float32))


def test_a_mean_by_pixel_is_an_image() -> None:
    found = resolve_mean(Preprocessing(mean="per_pixel"), NUMBERS.astype(np.float64))
    assert found == Preprocessing(mean=MeanImage.of(NUMBERS))


def test_a_mean_that_is_known_stays() -> None:
    for mean in ((1.0, 2.0, 3.0), MeanImage.of(NUMBERS)):
        assert resolve_mean(Preprocessing(mean=mean), NUMBERS) == Preprocessing(mean=mean)


@pytest.mark.parametrize(
    ("word", "mean"),
    [
        ("per_channel", NUMBERS),
        ("per_channel", np.zeros(4)),
        ("per_pixel", np.zeros(3)),
        ("per_pixel", NUMBERS[:1]),
        ("per_pixel", np.full(SHAPE, np.nan)),
    ],
)
def test_a_found_mean_has_to_fit(word: str, mean: np.ndarray) -> None:
    with pytest.raises(NetspecError, match="expected a finite mean of 3 channels"):
        resolve_mean(Preprocessing.model_validate({"mean": word}), mean)
