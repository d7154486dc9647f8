"""Decode images and resize them to the size that crops are cut from. JPEG has a fast path with identical results."""

from __future__ import annotations

import threading
from functools import cache
from io import BytesIO
from struct import Struct
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
FIRST_MARKER, START_OF_SCAN, APP1 = 0xFF00, 0xFFDA, 0xFFE1
SEGMENT = Struct(">HH")  # a segment's marker and its length, big-endian
VECTOR = 32  # the bytes of an AVX2 register


class Scratch(threading.local):
    """A decode buffer per thread. Allocating memory for each image would be the largest cost after decoding itself.

    An image decoded into the buffer is valid until the same thread decodes the next one.
    """

    def __init__(self) -> None:
        self._memory = np.empty(0, np.uint8)

    def __reduce__(self) -> tuple[type[Scratch], tuple[()]]:
        """Pickle without the buffer: another process allocates its own."""
        return Scratch, ()

    def of(self, size: int) -> NDArray[np.uint8]:
        """Return a buffer of at least this many bytes."""
        if len(self._memory) < size:
            memory = np.empty(size + VECTOR, np.uint8)
            # At a multiple of 32 bytes libjpeg-turbo writes past the caches, and the crop is then read from memory.
            start = (VECTOR // 2 - memory.ctypes.data) % VECTOR
            self._memory = memory[start : start + size]
        return self._memory


def decode_image(data: bytes, gray: bool, scratch: Scratch | None = None, *, backwards: bool = False) -> Pixels:
    """Decode an image to uint8, upright. Shape: (H, W, 1) if gray, else (H, W, 3) in RGB.

    A plain JPEG is decoded by libjpeg-turbo without the GIL, into `scratch` if given. All other images are decoded by
    Pillow, which wraps the same library and gives the same pixels for JPEG.

    Args:
        data: the encoded image.
        gray: whether to decode to gray.
        scratch: a decode buffer.
        backwards: store blue before green before red in memory where that costs nothing. The image is the same, but its
            mirror image and one of which the channels are reversed can be copied faster.

    Raises:
        DamagedImageError: not an image, damaged, absurdly large, or of 32 bits per channel.
    """
    pixels = _decode_jpeg(data, gray, scratch, backwards) if data.startswith(JPEG) and not _has_app1(data) else None
    return open_image(BytesIO(data), gray) if pixels is None else pixels


def _decode_jpeg(data: bytes, gray: bool, scratch: Scratch | None, backwards: bool) -> Pixels | None:
    """Return the pixels of a JPEG, or None if it is left to Pillow: CMYK, damaged, or a decompression bomb."""
    simplejpeg = _simplejpeg()
    try:
        height, width, colors, _ = simplejpeg.decode_jpeg_header(data)
        if colors not in {"YCbCr", "RGB", "Gray"} or is_bomb(height, width):
            return None
        as_gray = gray and colors == "Gray"
        buffer = scratch.of(height * width * 3) if scratch else None
        order = "GRAY" if as_gray else "BGR" if backwards and not gray else "RGB"
        pixels: Pixels = simplejpeg.decode_jpeg(data, order, buffer=buffer)
    except ValueError:
        return None
    if order == "BGR":
        pixels = pixels[..., ::-1]
    return pixels if as_gray or not gray else _to_gray(pixels)


@cache
def _simplejpeg() -> ModuleType:
    with needed_for("decoding JPEG fast"):
        import simplejpeg  # noqa: PLC0415 # only for encoded images
    module: ModuleType = simplejpeg
    return module


def _has_app1(data: bytes) -> bool:
    """Whether a JPEG has an APP1 segment: Exif or XMP, which may specify an orientation."""
    position = 2
    while position + SEGMENT.size <= len(data):
        marker, length = SEGMENT.unpack_from(data, position)
        if marker == APP1:
            return True
        if marker == START_OF_SCAN or marker < FIRST_MARKER:
            return False
        position += 2 + length
    return False


def _to_gray(pixels: Pixels) -> Pixels:
    from PIL import Image  # noqa: PLC0415 # few images are converted to gray

    return np.asarray(Image.fromarray(pixels).convert("L"))[..., None]


def resize_square(image: Pixels, side: int, *, nearest: bool = False) -> Pixels:
    """Resize the shorter side of an image to `side` and crop the centre square, as `preprocessing.fit` does.

    Shapes: (H, W, C) → (side, side, C). An image of this size already is returned without a copy.

    Raises:
        DamagedImageError: the image is too long and thin to be resized.
    """
    return image if image.shape[:2] == (side, side) else fit_to(image, side, side, side, nearest=nearest)


def fit(image: Pixels, preprocessing: Preprocessing, height: int, width: int) -> Pixels:
    """Return the image that crops of `height` by `width` are cut from, in the network's channel order.

    With `resize_shorter_side`, this is the result of `resize_square`; an image that does not cover the crop is
    enlarged. `netspec run` takes its centre crop from the same image. The result is a view if possible.

    Raises:
        DamagedImageError: the image is too long and thin to be resized.
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
    *,
    mirrored: bool = False,
) -> Pixels:
    """Read an image of a dataset, in the network's channel order.

    Args:
        dataset: the dataset.
        index: the index of the sample.
        preprocessing: that of the network.
        crop: height and width of the crops to cut; the image is resized by `fit`. None keeps its original size.
        scratch: a decode buffer; the image is then valid until this thread reads the next.
        mirrored: whether the caller will mirror the image, which determines its layout in memory.

    Raises:
        BadSampleError: the sample cannot be read or is not a usable image; the message names it.
    """
    gray = preprocessing.channel_order == "gray"
    backwards = mirrored != (preprocessing.channel_order == "bgr")
    sample = dataset.read(index)
    try:
        if isinstance(sample, np.ndarray):
            image = with_channels(sample, gray)
        else:
            image = decode_image(sample, gray, scratch, backwards=backwards)
        return fit(image, preprocessing, *crop) if crop else _ordered(image, preprocessing)
    except DamagedImageError as error:
        raise BadSampleError(f"{dataset.describe(index)}: {error.message}") from error


def decoded(dataset: Dataset, index: int, gray: bool = False) -> Pixels:
    """Read an image of a dataset in its original size: (H, W, 1) if gray or stored as gray pixels, else (H, W, 3).

    Raises:
        BadSampleError: the sample cannot be read or decoded; the message names it.
    """
    sample = dataset.read(index)
    try:
        if isinstance(sample, bytes):
            return decode_image(sample, gray)
        return with_channels(sample, gray or sample.shape[-1] == 1)
    except DamagedImageError as error:
        raise BadSampleError(f"{dataset.describe(index)}: {error.message}") from error


def with_channels(image: NDArray[Any], gray: bool) -> Pixels:
    """Convert a decoded image to gray or RGB; it is returned unchanged if it has these channels already.

    Raises:
        DamagedImageError: the array is not uint8, not (H, W, 1) or (H, W, 3), or empty.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (1, 3) or not image.size:
        raise DamagedImageError(f"expected uint8 of (H, W, 1) or (H, W, 3), received {image.dtype} of {image.shape}")
    if image.shape[2] == (1 if gray else 3):
        return image
    return _to_gray(image) if gray else np.repeat(image, 3, axis=2)


def image_size(shape: tuple[int, ...], preprocessing: Preprocessing | None) -> tuple[Preprocessing, int, int]:
    """Return the preprocessing, height and width for images as inputs of this shape.

    The default preprocessing leaves pixel values unchanged and takes the channels from the shape.

    Raises:
        NetspecError: the shape is not that of an image, or its channels are not those of the preprocessing.
    """
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise NetspecError(f"images become an input of [1, H, W] or [3, H, W], received an input of {list(shape)}")
    preprocessing = preprocessing or Preprocessing(channel_order="gray" if shape[0] == 1 else "rgb")
    if preprocessing.channels != shape[0]:
        raise NetspecError(f"an input of {list(shape)} takes no {preprocessing.channel_order} image")
    return preprocessing, shape[1], shape[2]
