"""Photographs as inputs: orientation, modes, resizing, cropping, figures, and files that are no images."""

from __future__ import annotations

import itertools
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from netspec.errors import NetspecError
from netspec.graph import Preprocessing
from netspec.preprocessing import DamagedImageError, fit, load_image, normalize, open_image
from netspec.training.data.mask_folders import decode_mask

AS_IT_IS = Preprocessing()
GRAY = Preprocessing(channel_order="gray")


@pytest.fixture
def pixels() -> np.ndarray:
    """A 6 by 8 image of random colors."""
    return np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)


def save(path: Path, image: Image.Image | np.ndarray, **options: Any) -> Path:
    """Write an image."""
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **options)
    return path


def test_an_image_of_the_input_size_is_its_pixels(pixels: np.ndarray, tmp_path: Path) -> None:
    array = load_image(save(tmp_path / "a.png", pixels), (3, 6, 8), AS_IT_IS)
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, pixels.transpose(2, 0, 1))


def test_channel_order(pixels: np.ndarray, tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", pixels)
    bgr = load_image(path, (3, 6, 8), Preprocessing(channel_order="bgr"))
    np.testing.assert_array_equal(bgr, pixels.transpose(2, 0, 1)[::-1])
    gray = load_image(path, (1, 6, 8), GRAY)
    luma = pixels @ np.array([0.299, 0.587, 0.114])  # ITU-R 601-2
    np.testing.assert_allclose(gray[0], luma, atol=1)


def test_figures_apply_to_channels_in_the_order_of_the_network(pixels: np.ndarray, tmp_path: Path) -> None:
    figures = Preprocessing(channel_order="bgr", mean=(1.0, 2.0, 3.0), scale=0.5, std=(2.0, 4.0, 5.0))
    array = load_image(save(tmp_path / "a.png", pixels), (3, 6, 8), figures)
    blue, green, red = pixels[..., 2], pixels[..., 1], pixels[..., 0]
    expected = [(blue - 1.0) * 0.5 / 2, (green - 2.0) * 0.5 / 4, (red - 3.0) * 0.5 / 5]
    np.testing.assert_allclose(array, expected, rtol=1e-6, atol=1e-5)


def test_normalize_takes_a_batch() -> None:
    x = np.full((2, 3, 4, 5), 255.0, np.float32)
    y = normalize(x, Preprocessing(mean=(127.5,), std=(127.5,)))
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, np.ones_like(x))


@pytest.mark.parametrize(
    ("orientation", "turn"),
    [
        (1, lambda a: a),
        (3, lambda a: np.rot90(a, 2)),
        (6, lambda a: np.rot90(a, 1)),  # the camera was turned: what is stored is to be turned right
        (8, lambda a: np.rot90(a, -1)),
        (2, np.fliplr),
    ],
)
def test_exif_orientation(pixels: np.ndarray, tmp_path: Path, orientation: int, turn: Any) -> None:
    stored = Image.fromarray(np.ascontiguousarray(turn(pixels)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    array = load_image(save(tmp_path / "a.png", stored, exif=exif), (3, 6, 8), AS_IT_IS)
    np.testing.assert_array_equal(array, pixels.transpose(2, 0, 1))


def test_gray_becomes_three_equal_channels(tmp_path: Path) -> None:
    gray = np.arange(48, dtype=np.uint8).reshape(6, 8)
    array = load_image(save(tmp_path / "a.png", gray), (3, 6, 8), AS_IT_IS)
    np.testing.assert_array_equal(array, np.stack([gray] * 3))


@pytest.mark.parametrize("kind", ["png", "tif", "pgm"])
def test_16_bits_keep_their_upper_8(tmp_path: Path, kind: str) -> None:
    deep = (np.arange(48, dtype=np.uint16) * 1300).reshape(6, 8)
    array = load_image(save(tmp_path / f"a.{kind}", deep), (1, 6, 8), GRAY)
    np.testing.assert_array_equal(array[0], deep >> 8)


def test_what_is_transparent_is_white(tmp_path: Path) -> None:
    colors = np.zeros((2, 3, 4), np.uint8)
    colors[0, :, :3] = (255, 0, 0)
    colors[0, :, 3] = 255
    expected = np.full((3, 2, 3), 255.0)
    expected[1:, 0] = 0.0
    path = save(tmp_path / "a.png", colors)
    np.testing.assert_array_equal(load_image(path, (3, 2, 3), AS_IT_IS), expected)


def test_a_transparent_palette_is_white_too(tmp_path: Path) -> None:
    image = Image.new("P", (3, 2), 0)
    image.putpalette([10, 20, 30])
    path = save(tmp_path / "a.gif", image, transparency=0)
    np.testing.assert_array_equal(load_image(path, (3, 2, 3), AS_IT_IS), np.full((3, 2, 3), 255.0))


def test_cmyk(tmp_path: Path) -> None:
    cyan = Image.new("CMYK", (8, 6), (255, 0, 0, 0))
    array = load_image(save(tmp_path / "a.jpg", cyan, quality=100), (3, 6, 8), AS_IT_IS)
    np.testing.assert_allclose(array.mean(axis=(1, 2)), [0, 255, 255], atol=3)


def test_32_bits_have_no_known_range(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tif", Image.new("F", (8, 6), 0.5))
    with pytest.raises(NetspecError, match=r"a\.tif: expected 8 or 16 bits a channel"):
        load_image(path, (1, 6, 8), GRAY)


def test_the_centre_is_cut_out(pixels: np.ndarray, tmp_path: Path) -> None:
    array = load_image(save(tmp_path / "a.png", pixels), (3, 2, 4), AS_IT_IS)
    np.testing.assert_array_equal(array, pixels[2:4, 2:6].transpose(2, 0, 1))


def test_the_shorter_side_is_resized_then_the_centre_cut_out(tmp_path: Path) -> None:
    wide = Image.fromarray(np.random.default_rng(1).integers(0, 256, (20, 50, 3), dtype=np.uint8))
    array = load_image(save(tmp_path / "a.png", wide), (3, 8, 8), Preprocessing(resize_shorter_side=10))
    resized = np.asarray(wide.resize((25, 10), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(array, resized[1:9, 8:16].transpose(2, 0, 1))


def test_resizing_is_antialiased(tmp_path: Path) -> None:
    """Columns of black and white become gray; sampling single pixels would keep one of them."""
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::2] = 255
    array = load_image(save(tmp_path / "a.png", stripes), (1, 8, 8), GRAY.model_copy(update={"resize_shorter_side": 8}))
    np.testing.assert_allclose(array, 127.5, atol=8)


@pytest.mark.parametrize("side", [None, 2])
def test_a_smaller_image_is_enlarged_until_it_covers_the_input(tmp_path: Path, side: int | None) -> None:
    path = save(tmp_path / "a.png", np.full((3, 9, 3), 200, np.uint8))
    array = load_image(path, (3, 12, 10), Preprocessing(resize_shorter_side=side))
    np.testing.assert_array_equal(array, np.full((3, 12, 10), 200.0))


@pytest.mark.parametrize("shape", [(10,), (3, 6), (1, 6, 8), (4, 6, 8)])
def test_an_input_that_takes_no_such_image(pixels: np.ndarray, tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(NetspecError, match="takes no rgb image"):
        load_image(save(tmp_path / "a.png", pixels), shape, AS_IT_IS)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(NetspecError, match=r"none\.png: there is no such file"):
        load_image(tmp_path / "none.png", (3, 6, 8), AS_IT_IS)


def test_a_lab_image_becomes_gray(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tif", Image.new("LAB", (8, 6), (128, 128, 128)))  # L* of 50, without color
    np.testing.assert_allclose(load_image(path, (1, 6, 8), GRAY), 119, atol=1)


def test_a_file_that_the_system_does_not_open_is_not_called_damaged(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    with pytest.raises(NetspecError, match=r"b\.png: cannot be read: Not a directory"):
        load_image(tmp_path / "a.png" / "b.png", (3, 6, 8), AS_IT_IS)


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n"])
def test_not_an_image(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(NetspecError, match=r"a\.png"):
        load_image(path, (3, 6, 8), AS_IT_IS)


@pytest.mark.parametrize("kind", ["png", "jpg", "gif", "tif", "webp"])
def test_a_damaged_image_is_named(tmp_path: Path, kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    path = save(tmp_path / f"a.{kind}", noise)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(NetspecError, match=rf"a\.{kind}"):
        load_image(path, (3, 6, 8), AS_IT_IS)


@pytest.mark.parametrize("kind", ["avif", "dds", "im", "png", "tif", "webp"])
@pytest.mark.filterwarnings("ignore")  # Pillow's, of tags that do not fit
def test_whichever_byte_is_wrong_the_image_is_read_or_refused(pixels: np.ndarray, tmp_path: Path, kind: str) -> None:
    written = save(tmp_path / f"a.{kind}", pixels[..., 0]).read_bytes()
    refused = 0
    for position, wrong in itertools.product(range(min(240, len(written))), b"\0.\xff"):
        damaged = written[:position] + bytes([wrong]) + written[position + 1 :]
        for decode in (lambda data: open_image(BytesIO(data), gray=False), decode_mask):
            try:
                decode(damaged)
            except DamagedImageError:
                refused += 1
    assert refused


@pytest.mark.parametrize("limit", [30, 10], ids=["a warning of Pillow's", "an error of Pillow's"])
@pytest.mark.filterwarnings("ignore:Image size")
def test_a_decompression_bomb_is_refused(
    pixels: np.ndarray, tmp_path: Path, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path / "a.png", pixels)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(NetspecError, match=r"a\.png: refused"):
        load_image(path, (3, 6, 8), AS_IT_IS)


def test_a_thread_of_pixels_is_not_blown_up(tmp_path: Path) -> None:
    """Small on disk, but its longer side would be 12.8 million pixels of 256 each."""
    path = save(tmp_path / "a.png", Image.new("L", (50_000, 1)))
    with pytest.raises(NetspecError, match=r"a\.png: too long and thin: 50000x1 would be resized to 12800000x256"):
        load_image(path, (1, 224, 224), GRAY.model_copy(update={"resize_shorter_side": 256}))


def test_without_pillow_the_extra_is_named() -> None:
    code = """
import sys
sys.modules["PIL"] = None
from pathlib import Path
from netspec.errors import NetspecError
from netspec.graph import Preprocessing
from netspec.preprocessing import load_image
try:
    load_image(Path("a.png"), (3, 6, 8), Preprocessing())
except NetspecError as error:
    print(error.hint)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "pip install 'netspec[onnx]'\n"


@pytest.mark.parametrize(
    ("size", "side", "fitted"),
    [
        ((10, 4), None, (20, 8)),  # too narrow for the crop: enlarged as a whole
        ((3, 16), None, (6, 32)),  # too low
        ((10, 16), None, (10, 16)),
        ((10, 4), 5, (6, 8)),  # of 20 by 8 the centre, as large as the crop
        ((20, 10), 12, (12, 12)),
    ],
)
def test_an_image_is_fitted_to_crops_of_6_by_8(
    size: tuple[int, int], side: int | None, fitted: tuple[int, int]
) -> None:
    assert fit(np.zeros((*size, 3), np.uint8), side, 6, 8).shape == (*fitted, 3)
