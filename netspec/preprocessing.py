"""From a photograph on disk to the input of a network, as its `Preprocessing` says."""

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
# What Pillow's decoders raise for a file that is not what its first bytes promise.
DAMAGED = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)


class DamagedImageError(NetspecError):
    """What cannot be used as an image. The message says why, and leaves it to the caller to say which."""


def normalize(pixels: Array, preprocessing: Preprocessing) -> Array:
    """(value − mean) · scale / std for each channel, float32.

    Args:
        pixels: values 0 to 255, channels in the network's order. Shape: (C, H, W) or (N, C, H, W).
        preprocessing: the figures; one for all channels, one for each, or a mean of C, H and W.

    Raises:
        NetspecError: as for `normalization`.
    """
    figures = normalization(preprocessing, pixels.shape[-3:])
    values: Array = (pixels.astype(np.float32) - figures.mean) * figures.factor
    return values


def normalization(preprocessing: Preprocessing | None, shape: tuple[int, ...]) -> Normalization:
    """What a preprocessing does to the values of an input of this (C, H, W); without one they stay as they are.

    Raises:
        NetspecError: the mean is that of a training set and not known, or the figures are not of this shape.
    """
    figures = preprocessing or Preprocessing()
    mean = require_mean(figures)
    factor = np.float32(figures.scale) / _by_channel("std", figures.std, shape)
    if not isinstance(mean, MeanImage):
        return Normalization(_by_channel("mean", mean, shape), factor)
    if mean.shape != shape:
        raise NetspecError(f"expected a mean image of the input's shape {shape}, received one of {mean.shape}")
    return Normalization(mean.array, factor)


def _by_channel(name: str, figures: tuple[float, ...], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """One figure for all channels, or one for each, as (C, 1, 1)."""
    channels = shape[0]
    if len(figures) not in (1, channels):
        raise NetspecError(f"{name}: expected 1 value, or {channels}: one a channel, received {len(figures)}")
    return np.ones((channels, 1, 1), np.float32) * np.asarray(figures, np.float32)[:, None, None]


def require_mean(preprocessing: Preprocessing) -> tuple[float, ...] | MeanImage:
    """The mean, which has to be known.

    Raises:
        NetspecError: it is that of a training set, and yet to be found.
    """
    if isinstance(preprocessing.mean, str):
        raise NetspecError(
            "the mean is that of the training set, which this spec does not hold",
            "`netspec train` finds it: then build from the runs/NAME/spec.yaml that it writes",
        )
    return preprocessing.mean


def resolve_mean(preprocessing: Preprocessing, mean: Array) -> Preprocessing:
    """A preprocessing with the mean of a training set in place of the word for it; any other is as it was.

    Args:
        preprocessing: whose mean may be `per_channel` or `per_pixel`.
        mean: of the training set's images as the network sees their centre. Shape: (C,), or (C, H, W) per pixel.
            Units: pixel values, 0 to 255.

    Raises:
        NetspecError: the mean is not of this shape, or not finite.
    """
    if not isinstance(preprocessing.mean, str):
        return preprocessing
    rank = {"per_channel": 1, "per_pixel": 3}[preprocessing.mean]
    if mean.ndim != rank or len(mean) != preprocessing.channels or not np.isfinite(mean).all():
        expected = f"{preprocessing.channels} channels and {rank} axes"
        raise NetspecError(f"expected a finite mean of {expected}, received shape {mean.shape}")
    # The shortest decimals of float32: they read well in a spec, and come back as the same float32.
    found = MeanImage.of(mean) if rank == 3 else tuple(float(str(figure)) for figure in mean.astype(np.float32))
    return preprocessing.model_copy(update={"mean": found})


def load_image(path: Path, shape: tuple[int, ...], preprocessing: Preprocessing) -> Array:
    """A photograph as the input of a network, float32.

    Its orientation tag is obeyed, what is transparent becomes white, and 16-bit gray keeps its upper 8 bits. An image
    that is smaller than the network's input after the resize is enlarged until it covers it.

    Args:
        path: any image that Pillow reads.
        shape: the input's (C, H, W).
        preprocessing: resize, channel order and normalization; the centre of H by W is cut out between them.

    Raises:
        NetspecError: no such file, not an image, a damaged or an absurdly large one, an input that takes no image,
            or a mean that is yet to be found.
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
    """An image by Pillow, upright, decoded to the end. Shape: (H, W, 1) if gray, else (H, W, 3) in RGB.

    Raises:
        DamagedImageError: it is none, damaged, absurdly large, or of 32 bits a channel.
        FileNotFoundError: there is no such file.
    """
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError  # noqa: PLC0415 # few commands read images
    except ImportError as error:
        raise NetspecError("reading images needs pillow, not installed here", "pip install 'netspec[onnx]'") from error
    try:
        with Image.open(file) as opened:
            # Pillow warns from here on, and raises from twice as many. A filter of warnings is no place to decide it:
            # threads share it.
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
        raise DamagedImageError(f"a damaged image: {error}") from error
    if upright.mode in {"I", "F"}:
        raise DamagedImageError("expected 8 or 16 bits a channel, received 32, whose range is not known")
    if upright.mode.startswith("I;16"):  # Pillow's own conversion cuts 16 bits off at 255
        upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
    if upright.has_transparency_data:  # without this, what shows is whatever lies under the transparent pixels
        colors = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", colors.size, "white"), colors)
    return np.atleast_3d(np.asarray(upright.convert("L" if gray else "RGB")))


def is_bomb(height: int, width: int) -> bool:
    """Whether an image has more pixels than Pillow takes for honest."""
    from PIL import Image  # noqa: PLC0415 # likewise

    return Image.MAX_IMAGE_PIXELS is not None and height * width > Image.MAX_IMAGE_PIXELS


def fit(image: Pixels, shorter_side: int | None, height: int, width: int, *, nearest: bool = False) -> Pixels:
    """The part of an image that crops of `height` by `width` are cut from; an image that already is it stays as it is.

    The shorter side is resized to `shorter_side` (bilinear, antialiased) and the centre square kept; the image as a
    whole stays where there is none. Both grow where they would not cover the crop. A mask takes the `nearest` pixel.

    Raises:
        DamagedImageError: too long and thin to be resized.
    """
    found: tuple[int, int] = image.shape[:2]
    factor = shorter_side / min(found) if shorter_side else 1.0
    factor = max(factor, height / found[0], width / found[1])
    size = (max(height, round(found[0] * factor)), max(width, round(found[1] * factor)))
    if size != found:
        if is_bomb(*size):
            before, after = (f"{w}x{h}" for h, w in (found, size))
            raise DamagedImageError(f"too long and thin: {before} would be resized to {after}")
        image = resize(image, *size, nearest=nearest)
    if shorter_side is None:
        return image
    return center(image, min(size[0], max(shorter_side, height)), min(size[1], max(shorter_side, width)))


def resize(image: Pixels, height: int, width: int, *, nearest: bool = False) -> Pixels:
    """An image in another size: bilinear, antialiased when it shrinks; or by the nearest pixels.

    Shapes: (H, W, C) → (height, width, C).
    """
    from PIL import Image  # noqa: PLC0415 # likewise

    picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    way = Image.Resampling.NEAREST if nearest else Image.Resampling.BILINEAR
    return np.atleast_3d(np.asarray(picture.resize((width, height), way)))


def center(image: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """The centre of an image, a view. Shapes: (H, W, C) → (height, width, C)."""
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return image[top : top + height, left : left + width]
