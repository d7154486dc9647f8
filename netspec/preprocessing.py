"""Load a photograph as the input of a network, by the input's `Preprocessing`."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from netspec.errors import NetspecError
from netspec.graph import MeanImage, Normalization, Preprocessing
from netspec.ops.base import Array

Pixels = NDArray[np.uint8]  # (H, W, C)

BOMB = "refused, its size in pixels is that of a decompression bomb"
# The exceptions of Pillow's decoders for damaged files. AVIF's, DDS's and BLP's raise a RuntimeError, IM's a TypeError.
DAMAGED = (OSError, SyntaxError, ValueError, EOFError, RuntimeError, TypeError, struct.error, zlib.error)


class DamagedImageError(NetspecError):
    """A file cannot be used as an image. The message has the reason; the caller adds the name of the file."""


def normalize(pixels: Array, preprocessing: Preprocessing) -> Array:
    """Return (pixels − mean) · scale / std for each channel, in float32.

    Args:
        pixels: values from 0 to 255, channels in the network's order. Shape: (C, H, W) or (N, C, H, W).
        preprocessing: has one mean and std for all channels, one for each, or a mean image.

    Raises:
        NetspecError: as for `normalization`.
    """
    how = normalization(preprocessing, pixels.shape[-3:])
    values: Array = (pixels.astype(np.float32) - how.mean) * how.factor
    return values


def normalization(preprocessing: Preprocessing | None, shape: tuple[int, ...]) -> Normalization:
    """Return the normalization of an input of this (C, H, W); the identity if there is no preprocessing.

    Raises:
        NetspecError: the mean is to be computed from a training set, or a mean or std does not fit the shape.
    """
    preprocessing = preprocessing or Preprocessing()
    mean = require_mean(preprocessing)
    factor = np.float32(preprocessing.scale) / _by_channel("std", preprocessing.std, shape)
    if not isinstance(mean, MeanImage):
        return Normalization(_by_channel("mean", mean, shape), factor)
    if mean.shape != shape:
        raise NetspecError(f"expected a mean image of the input's shape {shape}, received one of {mean.shape}")
    return Normalization(mean.array, factor)


def _by_channel(name: str, values: tuple[float, ...], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return one value for all channels, or one for each, as an array. Shape: (C, 1, 1)."""
    channels = shape[0]
    if len(values) not in (1, channels):
        raise NetspecError(f"{name}: expected 1 value, or {channels}: one a channel, received {len(values)}")
    return np.ones((channels, 1, 1), np.float32) * np.asarray(values, np.float32)[:, None, None]


def require_mean(preprocessing: Preprocessing) -> tuple[float, ...] | MeanImage:
    """Return the mean.

    Raises:
        NetspecError: it is to be computed from a training set.
    """
    if isinstance(preprocessing.mean, str):
        raise NetspecError(
            "the mean is that of the training set, which this spec does not have",
            "`netspec train` computes it: build from the runs/NAME/spec.yaml that it writes",
        )
    return preprocessing.mean


def resolve_mean(preprocessing: Preprocessing, mean: Array) -> Preprocessing:
    """Replace a mean of `per_channel` or `per_pixel` by that of the training set; leave any other as it is.

    Args:
        preprocessing: the preprocessing.
        mean: the mean of the training images, cropped as the network reads them. Shape: (C,), or (C, H, W) for
            `per_pixel`. Units: pixel values, 0 to 255.

    Raises:
        NetspecError: the mean has another shape, or is not finite.
    """
    if not isinstance(preprocessing.mean, str):
        return preprocessing
    rank = {"per_channel": 1, "per_pixel": 3}[preprocessing.mean]
    if mean.ndim != rank or len(mean) != preprocessing.channels or not np.isfinite(mean).all():
        expected = f"{preprocessing.channels} channels and {rank} axes"
        raise NetspecError(f"expected a finite mean of {expected}, received shape {mean.shape}")
    # The shortest decimals that give the same float32 are the most readable in a spec.
    resolved = MeanImage.of(mean) if rank == 3 else tuple(float(str(value)) for value in mean.astype(np.float32))
    return preprocessing.model_copy(update={"mean": resolved})


def load_image(path: Path, shape: tuple[int, ...], preprocessing: Preprocessing) -> Array:
    """Load a photograph as the input of a network, in float32.

    The image is rotated by its orientation tag, transparent pixels become white, and 16-bit gray keeps its upper 8
    bits. An image that is smaller than the network's input after the resize is enlarged until it covers it.

    Args:
        path: any image that Pillow reads.
        shape: the input's (C, H, W).
        preprocessing: resize, channel order and normalization; the center of H by W is cut out after the resize.

    Raises:
        NetspecError: there is no such file, it is not an image, damaged or absurdly large, the input is not an image,
            or its mean is to be computed from a training set.
    """
    if len(shape) != 3 or shape[0] != preprocessing.channels:
        raise NetspecError(f"an input of {shape} takes no {preprocessing.channel_order} image")
    _, height, width = shape
    if path.is_dir():
        raise NetspecError(f"{path}: is a directory", "name the images in it")
    try:
        image = open_image(path, gray=preprocessing.channel_order == "gray")
        image = center(fit(image, preprocessing.resize_shorter_side, height, width), height, width)
    except FileNotFoundError as error:
        raise NetspecError(f"{path}: there is no such file") from error
    except DamagedImageError as error:
        raise NetspecError(f"{path}: {error.message}") from error
    channels = image.transpose(2, 0, 1).astype(np.float32)
    return normalize(channels[::-1] if preprocessing.channel_order == "bgr" else channels, preprocessing)


def open_image(file: Path | BinaryIO, gray: bool) -> Pixels:
    """Read an image with Pillow, completely and upright. Shape: (H, W, 1) if gray, else (H, W, 3) in RGB.

    Raises:
        DamagedImageError: it is not an image, damaged, unreadable, absurdly large, or of 32 bits a channel.
        FileNotFoundError: there is no such file.
    """
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError  # noqa: PLC0415 # few commands read images
    except ImportError as error:
        raise NetspecError("reading images needs pillow, not installed here", "pip install 'netspec[onnx]'") from error
    try:
        with Image.open(file) as opened:
            # Pillow warns above this size, and raises above twice as many pixels. The warning cannot be turned into an
            # error by a filter, since all threads share the filters.
            if is_bomb(opened.height, opened.width):
                raise DamagedImageError(BOMB)
            upright = ImageOps.exif_transpose(opened)
            upright.load()
    except FileNotFoundError:
        raise
    except UnidentifiedImageError as error:
        raise DamagedImageError("not an image that Pillow reads") from error
    except Image.DecompressionBombError as error:
        raise DamagedImageError(BOMB) from error
    except DAMAGED as error:
        if isinstance(error, OSError) and error.errno is not None:  # by the system; Pillow's have no number
            raise DamagedImageError(f"cannot be read: {error.strerror}") from error
        raise DamagedImageError(f"a damaged image: {error}") from error
    deep = upright.mode.startswith("I;16") or (upright.mode == "I" and opened.format == "PPM")  # up to 65535
    if upright.mode in {"I", "F"} and not deep:
        raise DamagedImageError("expected 8 or 16 bits a channel, received 32, whose range is not known")
    if deep:  # Pillow's conversion would clip 16-bit values at 255
        upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
    if upright.has_transparency_data:  # a conversion to RGB would show the hidden colors of transparent pixels
        colors = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", colors.size, "white"), colors)
    if upright.mode == "LAB":  # Pillow converts it to RGB, but not to gray
        upright = upright.convert("RGB")
    return np.atleast_3d(np.asarray(upright.convert("L" if gray else "RGB")))


def is_bomb(height: int, width: int) -> bool:
    """Whether an image has more pixels than Pillow's limit for decompression bombs."""
    from PIL import Image  # noqa: PLC0415 # likewise

    return Image.MAX_IMAGE_PIXELS is not None and height * width > Image.MAX_IMAGE_PIXELS


def fit(image: Pixels, shorter_side: int | None, height: int, width: int, *, nearest: bool = False) -> Pixels:
    """Return the part of an image from which crops of `height` by `width` are cut.

    The shorter side is resized to `shorter_side` (bilinear, antialiased) and the central square is kept; if it is None,
    the whole image is kept. In both cases the image is enlarged if it would not cover the crop. Masks are resized by
    `nearest` pixels.

    Raises:
        DamagedImageError: the image would become too large: it is long and thin, or the size is.
    """
    original: tuple[int, int] = image.shape[:2]
    factor = shorter_side / min(original) if shorter_side else 1.0
    factor = max(factor, height / original[0], width / original[1])
    size = (max(height, round(original[0] * factor)), max(width, round(original[1] * factor)))
    if size != original:
        if is_bomb(*size):
            before, after = (f"{w}x{h}" for h, w in (original, size))
            reason = "too large a size" if is_bomb(min(size), min(size)) else "too long and thin"
            raise DamagedImageError(f"{reason}: {before} would be resized to {after}")
        image = resize(image, *size, nearest=nearest)
    if shorter_side is None:
        return image
    return center(image, min(size[0], max(shorter_side, height)), min(size[1], max(shorter_side, width)))


def resize(image: Pixels, height: int, width: int, *, nearest: bool = False) -> Pixels:
    """Resize an image by bilinear interpolation, with antialiasing if it shrinks, or by `nearest` pixels.

    Shapes: (H, W, C) → (height, width, C).
    """
    from PIL import Image  # noqa: PLC0415 # likewise

    if image.strides[2] < 0:  # channels that are backwards in memory stay so; Pillow would first copy them
        return resize(image[..., ::-1], height, width, nearest=nearest)[..., ::-1]
    picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    resampling = Image.Resampling.NEAREST if nearest else Image.Resampling.BILINEAR
    return np.atleast_3d(np.asarray(picture.resize((width, height), resampling)))


def center(image: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """Return the center of an image, as a view. Shapes: (H, W, C) → (height, width, C)."""
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return image[top : top + height, left : left + width]
