"""The fast decoder gives the pixels of Pillow, and crops are those of `netspec run`."""

from __future__ import annotations

import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from netspec.errors import NetspecError
from netspec.graph import Preprocessing
from netspec.preprocessing import DamagedImageError, center, load_image, open_image
from netspec.training.data import images
from netspec.training.data.dataset import BadSampleError, Dataset
from netspec.training.data.images import (
    Scratch,
    decode_image,
    fit,
    image_size,
    read_image,
    resize_square,
    with_channels,
)


def picture(height: int = 48, width: int = 64) -> Image.Image:
    """Return smooth random colors, which the subsampling of JPEG does not change."""
    small = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def encode(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def by_pillow(data: bytes, gray: bool) -> NDArray[np.uint8]:
    return open_image(BytesIO(data), gray)


PLAIN = {
    "4:2:0": encode(picture()),
    "4:4:4": encode(picture(), subsampling=0, quality=95),
    "4:2:2": encode(picture(), subsampling=1),
    "progressive": encode(picture(), progressive=True),
    "odd sides": encode(picture(37, 53)),
    "gray": encode(picture().convert("L")),
    "stored as RGB": encode(picture(), keep_rgb=True),
}
OTHERS = {
    "CMYK": encode(picture().convert("CMYK")),
    "turned by XMP": encode(picture(), xmp=b'<x tiff:Orientation="8"/>'),
    "PNG": encode(picture(), "PNG"),
    "transparent PNG": encode(picture().convert("RGBA").rotate(30), "PNG"),
    "16 bits": encode(Image.fromarray(np.arange(48 * 64, dtype=np.uint16).reshape(48, 64) * 20), "PNG"),
    "palette": encode(picture().quantize(16), "GIF"),
    "WebP": encode(picture(), "WEBP"),
}


@pytest.mark.parametrize("backwards", [False, True], ids=["", "backwards"])
@pytest.mark.parametrize("gray", [False, True], ids=["rgb", "gray"])
@pytest.mark.parametrize("name", [*PLAIN, *OTHERS])
def test_the_pixels_are_pillows(name: str, gray: bool, backwards: bool) -> None:
    data = (PLAIN | OTHERS)[name]
    pixels = decode_image(data, gray, backwards=backwards)
    assert pixels.dtype == np.uint8
    assert pixels.shape[2] == (1 if gray else 3)
    np.testing.assert_array_equal(pixels, by_pillow(data, gray))


@pytest.mark.parametrize("gray", [False, True], ids=["rgb", "gray"])
def test_scratch_is_used_again_by_its_thread_alone(gray: bool) -> None:
    scratch = Scratch()
    first, second = PLAIN["4:2:0"], PLAIN["odd sides"]
    one = decode_image(first, gray, scratch)
    np.testing.assert_array_equal(one, by_pillow(first, gray))
    with ThreadPoolExecutor(1) as other:
        other.submit(decode_image, second, gray, scratch).result()
    np.testing.assert_array_equal(one, by_pillow(first, gray))
    np.testing.assert_array_equal(decode_image(second, gray, scratch), by_pillow(second, gray))
    assert pickle.loads(pickle.dumps(scratch)).of(1) is not scratch.of(1)  # noqa: S301 # our own, to a worker


@pytest.mark.parametrize("size", [1, 64 * 64 * 3, 256 * 256 * 3])
def test_scratch_is_where_libjpeg_writes_through_the_caches(size: int) -> None:
    for _ in range(8):
        memory = Scratch().of(size)
        assert memory.nbytes == size
        assert memory.ctypes.data % 32


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_jpeg_is_not_decoded_by_pillow(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "open_image", lambda *_: pytest.fail("decoded by Pillow"))
    decode_image(PLAIN[name], gray=False)


@pytest.mark.parametrize("name", [name for name in PLAIN if name != "gray"])
def test_backwards_is_the_order_in_memory(name: str) -> None:
    assert decode_image(PLAIN[name], gray=False).strides[2] == 1
    assert decode_image(PLAIN[name], gray=False, backwards=True).strides[2] == -1


def test_orientation_is_obeyed() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = decode_image(encode(picture(), exif=exif), gray=False)
    assert turned.shape == (64, 48, 3)
    np.testing.assert_array_equal(turned, np.rot90(decode_image(encode(picture()), gray=False), -1))


def test_orientation_behind_other_segments_is_found() -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    data = encode(picture(), exif=exif, comment=b"a comment", icc_profile=b"\xff\xda" * 40_000)
    np.testing.assert_array_equal(decode_image(data, gray=False), decode_image(PLAIN["4:2:0"], gray=False)[::-1, ::-1])


@pytest.mark.parametrize("name", [*PLAIN, *OTHERS])
@pytest.mark.parametrize("share", [0.02, 0.4, 0.7])
def test_a_damaged_image_is_an_error(name: str, share: float) -> None:
    data = (PLAIN | OTHERS)[name]
    with pytest.raises(DamagedImageError):
        decode_image(data[: int(share * len(data))], gray=False)


@pytest.mark.parametrize("data", [b"", b"text", b"\xff\xd8\xff", b"\xff\xd8\xff\xe1", b"\xff\xd8\xff\xe0\x00\x00" * 9])
def test_data_that_is_not_an_image_is_an_error(data: bytes) -> None:
    with pytest.raises(DamagedImageError, match="image"):
        decode_image(data, gray=False)


@pytest.mark.parametrize("limit", [3000, 1000], ids=["a warning of Pillow's", "an error of Pillow's"])
@pytest.mark.parametrize("name", ["4:2:0", "PNG"])
@pytest.mark.filterwarnings("ignore:Image size")
def test_a_bomb_is_refused_before_it_is_decoded(name: str, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(DamagedImageError, match="refused, its size in pixels is that of a decompression bomb"):
        decode_image((PLAIN | OTHERS)[name], gray=False)


def test_without_simplejpeg_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "simplejpeg", None)
    images._simplejpeg.cache_clear()
    with pytest.raises(NetspecError, match="needs simplejpeg") as caught:
        decode_image(PLAIN["4:2:0"], gray=False)
    assert caught.value.hint == "pip install 'netspec[train]'"


def test_a_square_is_resized_then_cut() -> None:
    image = np.asarray(picture(40, 100))
    expected = picture(40, 100).resize((50, 20), Image.Resampling.BILINEAR).crop((15, 0, 35, 20))
    np.testing.assert_array_equal(resize_square(image, 20), np.asarray(expected))
    assert resize_square(image[:, :40, :1], 20).shape == (20, 20, 1)


def test_a_square_of_the_size_is_not_copied() -> None:
    image = np.zeros((32, 32, 3), np.uint8)
    assert resize_square(image, 32) is image
    assert np.shares_memory(fit(image, Preprocessing(resize_shorter_side=32), 28, 28), image)
    assert np.shares_memory(fit(image, Preprocessing(), 28, 28), image)


def test_a_thread_of_pixels_is_not_blown_up() -> None:
    with pytest.raises(DamagedImageError, match="too long and thin: 50000x1 would be resized to 12800000x256"):
        resize_square(np.zeros((1, 50_000, 3), np.uint8), 256)
    with pytest.raises(DamagedImageError, match="too large a size: 8x8 would be resized to 99999999x99999999"):
        resize_square(np.zeros((8, 8, 3), np.uint8), 99_999_999)


SIZES = [(48, 64), (64, 48), (37, 53), (9, 200), (30, 30)]


@pytest.mark.parametrize("order", ["rgb", "bgr", "gray"])
@pytest.mark.parametrize("side", [None, 8, 31, 32])
@pytest.mark.parametrize("crop", [(28, 28), (27, 27), (20, 33)])
@pytest.mark.parametrize("size", SIZES)
def test_the_centre_is_that_of_netspec_run(
    size: tuple[int, int], crop: tuple[int, int], side: int | None, order: Any, tmp_path: Path
) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(encode(picture(*size)))
    preprocessing = Preprocessing(resize_shorter_side=side, channel_order=order)
    expected = load_image(path, (preprocessing.channels, *crop), preprocessing).transpose(1, 2, 0)
    stored = fit(decode_image(path.read_bytes(), gray=order == "gray"), preprocessing, *crop)
    np.testing.assert_array_equal(center(stored, *crop), expected)
    if side:
        assert stored.shape[:2] == (max(side, crop[0]), max(side, crop[1]))


@pytest.mark.parametrize("size", SIZES)
def test_a_prepared_image_gives_the_same_crop(size: tuple[int, int]) -> None:
    """Both margins are odd: the center of the image and that of the square within it could be a pixel apart."""
    image, preprocessing = np.asarray(picture(*size)), Preprocessing(resize_shorter_side=32)
    once = fit(image, preprocessing, 27, 27)
    np.testing.assert_array_equal(fit(resize_square(image, 32), preprocessing, 27, 27), once)


def test_channels_of_decoded_images() -> None:
    image = np.asarray(picture())
    assert with_channels(image, gray=False) is image
    np.testing.assert_array_equal(with_channels(image, gray=True)[..., 0], np.asarray(picture().convert("L")))
    np.testing.assert_array_equal(with_channels(image[..., :1], gray=False), image[..., [0, 0, 0]])


class One(Dataset):
    """A set of one sample."""

    def __init__(self, sample: bytes | NDArray[Any]) -> None:
        self.origin, self.classes, self.labels, self.fingerprint = "one", ("a",), np.zeros(1, np.int64), "1"
        self._sample = sample

    def read(self, index: int) -> bytes | NDArray[Any]:
        return self._sample

    def describe(self, index: int) -> str:
        return f"one.npz, row {index}"


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        (b"text", "not an image that Pillow reads"),
        (np.zeros((4, 4, 2), np.uint8), r"expected uint8 of \(H, W, 1\) or \(H, W, 3\), received uint8 of \(4, 4, 2\)"),
        (np.zeros((4, 4, 3), np.float32), "received float32"),
        (np.zeros((0, 4, 3), np.uint8), r"received uint8 of \(0, 4, 3\)"),
    ],
)
def test_a_bad_sample_is_named(sample: Any, message: str) -> None:
    with pytest.raises(BadSampleError, match=rf"^one\.npz, row 0: .*{message}"):
        read_image(One(sample), 0, Preprocessing(), 4, 4)


def test_an_input_that_takes_no_image() -> None:
    with pytest.raises(
        NetspecError, match=r"images become an input of \[1, H, W\] or \[3, H, W\], received .* \[784\]"
    ):
        image_size((784,), None)
    with pytest.raises(NetspecError, match=r"an input of \[1, 28, 28\] takes no rgb image"):
        image_size((1, 28, 28), Preprocessing())
    assert image_size((1, 28, 30), None) == (Preprocessing(channel_order="gray"), 28, 30)
    assert image_size((3, 28, 30), None) == (Preprocessing(), 28, 30)
