"""Images, decoded and brought to the size that crops are cut from: JPEG fast, the rest by Pillow, both alike."""

from __future__ import annotations

import threading
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from netspec.errors import NetspecError
from netspec.graph import Preprocessing
from netspec.preprocessing import DamagedImageError, Pixels, is_bomb, open_image
from netspec.preprocessing import fit as fit_to
from netspec.training.data.dataset import BadSampleError, Dataset
from netspec.training.data.findings import needed_for

if TYPE_CHECKING:
    from types import ModuleType

JPEG = b"\xff\xd8\xff"
MARKER, APP1, START_OF_SCAN = 0xFF, 0xE1, 0xDA


class Scratch(threading.local):
    """Memory to decode into, one for each thread: beside decoding, new memory for each image costs the most.

    An image that was decoded into it is good until the thread decodes the next.
    """

    def __init__(self) -> None:
        self._memory = bytearray()

    def __reduce__(self) -> tuple[type[Scratch], tuple[()]]:
        """Another process has memory of its own."""
        return Scratch, ()

    def of(self, size: int) -> bytearray:
        """At least this many bytes."""
        if len(self._memory) < size:
            self._memory = bytearray(size)
        return self._memory


def decode_image(data: bytes, gray: bool, scratch: Scratch | None = None) -> Pixels:
    """An encoded image, upright, 8 bits a channel. Shape: (H, W, 1) if gray, else (H, W, 3) in RGB.

    A plain JPEG is decoded by libjpeg-turbo without the GIL, into `scratch` if there is one; Pillow, which wraps the
    same library, gives the same pixels, and all other formats.

    Raises:
        DamagedImageError: it is no image, damaged, absurdly large, or of 32 bits a channel.
    """
    pixels = _decode_jpeg(data, gray, scratch) if data.startswith(JPEG) and not _has_app1(data) else None
    return open_image(BytesIO(data), gray) if pixels is None else pixels


def _decode_jpeg(data: bytes, gray: bool, scratch: Scratch | None) -> Pixels | None:
    """The pixels of a JPEG, or None where Pillow has the last word: CMYK, damage, a bomb."""
    simplejpeg = _simplejpeg()
    try:
        height, width, colors, _ = simplejpeg.decode_jpeg_header(data)
        if colors not in {"YCbCr", "RGB", "Gray"} or is_bomb(height, width):
            return None
        as_gray = gray and colors == "Gray"
        buffer = scratch.of(height * width * 3) if scratch else None
        pixels: Pixels = simplejpeg.decode_jpeg(data, "GRAY" if as_gray else "RGB", buffer=buffer)
    except ValueError:
        return None
    return pixels if as_gray or not gray else _to_gray(pixels)


@cache
def _simplejpeg() -> ModuleType:
    with needed_for("decoding JPEG fast"):
        import simplejpeg  # noqa: PLC0415 # for encoded images alone
    module: ModuleType = simplejpeg
    return module


def _has_app1(data: bytes) -> bool:
    """Whether a JPEG has a segment in which Exif or XMP may say how the image is to be turned."""
    position = 2
    while position + 4 <= len(data) and data[position] == MARKER and data[position + 1] != START_OF_SCAN:
        if data[position + 1] == APP1:
            return True
        position += 2 + int.from_bytes(data[position + 2 : position + 4])
    return False


def _to_gray(pixels: Pixels) -> Pixels:
    from PIL import Image  # noqa: PLC0415 # few images are turned gray

    return np.asarray(Image.fromarray(pixels).convert("L"))[..., None]


def resize_square(image: Pixels, side: int, *, nearest: bool = False) -> Pixels:
    """The centre square of an image whose shorter side is resized to `side`: as `preprocessing.resize` has it.

    Shapes: (H, W, C) → (side, side, C). An image that is so already is given back, not copied.

    Raises:
        DamagedImageError: too long and thin to be resized.
    """
    return image if image.shape[:2] == (side, side) else fit_to(image, side, side, side, nearest=nearest)


def fit(image: Pixels, preprocessing: Preprocessing, height: int, width: int) -> Pixels:
    """What crops of `height` by `width` are cut from, in the network's channel order; a view where that will do.

    `resize_square`, where the preprocessing has a `resize_shorter_side`; it grows where it would not cover the crop.
    `netspec run` cuts its centre from the same.

    Raises:
        DamagedImageError: too long and thin to be resized.
    """
    return _ordered(fit_to(image, preprocessing.resize_shorter_side, height, width), preprocessing)


def _ordered(image: Pixels, preprocessing: Preprocessing) -> Pixels:
    return image[..., ::-1] if preprocessing.channel_order == "bgr" else image


def read_image(
    dataset: Dataset,
    index: int,
    preprocessing: Preprocessing,
    crop: tuple[int, int] | None,
    scratch: Scratch | None = None,
) -> Pixels:
    """A sample of a dataset; good until this thread's next where there is `scratch`.

    Args:
        dataset: whose.
        index: which.
        preprocessing: of the network.
        crop: height and width of what is cut from it, and the image is as `fit` has it; None for the image whole, in
            its own size.
        scratch: memory to decode into.

    Raises:
        BadSampleError: it cannot be read or is no usable image; the message names it.
    """
    gray = preprocessing.channel_order == "gray"
    sample = dataset.read(index)
    try:
        image = with_channels(sample, gray) if isinstance(sample, np.ndarray) else decode_image(sample, gray, scratch)
        return fit(image, preprocessing, *crop) if crop else _ordered(image, preprocessing)
    except DamagedImageError as error:
        raise BadSampleError(f"{dataset.describe(index)}: {error.message}") from error


def decoded(dataset: Dataset, index: int, gray: bool = False) -> Pixels:
    """An image of a dataset: (H, W, 1) if gray or stored as decoded gray pixels, (H, W, 3) otherwise.

    Raises:
        BadSampleError: it cannot be read or decoded; the message names it.
    """
    sample = dataset.read(index)
    try:
        if isinstance(sample, bytes):
            return decode_image(sample, gray)
        return with_channels(sample, gray or sample.shape[-1] == 1)
    except DamagedImageError as error:
        raise BadSampleError(f"{dataset.describe(index)}: {error.message}") from error


def with_channels(image: NDArray[Any], gray: bool) -> Pixels:
    """A decoded image with the channels that are asked for, gray or RGB; one that has them is given back.

    Raises:
        DamagedImageError: not uint8, not (H, W, 1) or (H, W, 3), or empty.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (1, 3) or not image.size:
        raise DamagedImageError(f"expected uint8 of (H, W, 1) or (H, W, 3), received {image.dtype} of {image.shape}")
    if image.shape[2] == (1 if gray else 3):
        return image
    return _to_gray(image) if gray else np.repeat(image, 3, axis=2)


def image_size(shape: tuple[int, ...], preprocessing: Preprocessing | None) -> tuple[Preprocessing, int, int]:
    """How images become an input of this shape: the preprocessing, or that of values as they are, height and width.

    Raises:
        NetspecError: the input takes no image, or one of other channels.
    """
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise NetspecError(f"images become an input of [1, H, W] or [3, H, W], received an input of {list(shape)}")
    own = preprocessing or Preprocessing(channel_order="gray" if shape[0] == 1 else "rgb")
    if own.channels != shape[0]:
        raise NetspecError(f"an input of {list(shape)} takes no {own.channel_order} image")
    return own, shape[1], shape[2]
