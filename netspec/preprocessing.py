"""From a photograph on disk to the input of a network, as its `Preprocessing` says."""

from __future__ import annotations

import struct
import warnings
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from netspec.errors import NetspecError
from netspec.graph import Preprocessing
from netspec.ops.base import Array

if TYPE_CHECKING:
    from PIL.Image import Image

# What Pillow's decoders raise for a file that is not what its first bytes promise.
DAMAGED = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)


def normalize(pixels: Array, preprocessing: Preprocessing) -> Array:
    """(value − mean) · scale / std for each channel, float32.

    Args:
        pixels: values 0 to 255, channels in the network's order. Shape: (C, H, W) or (N, C, H, W).
        preprocessing: the figures; one for all channels, or one for each.
    """
    mean = np.asarray(preprocessing.mean, np.float32)[:, None, None]
    factor = np.float32(preprocessing.scale) / np.asarray(preprocessing.std, np.float32)[:, None, None]
    values: Array = (pixels.astype(np.float32) - mean) * factor
    return values


def load_image(path: Path, shape: tuple[int, ...], preprocessing: Preprocessing) -> Array:
    """A photograph as the input of a network, float32.

    Its orientation tag is obeyed, what is transparent becomes white, and 16-bit gray keeps its upper 8 bits. An image
    that is smaller than the network's input after the resize is enlarged until it covers it.

    Args:
        path: any image that Pillow reads.
        shape: the input's (C, H, W).
        preprocessing: resize, channel order and normalisation; the centre of H by W is cut out between them.

    Raises:
        NetspecError: no such file, not an image, a damaged or an absurdly large one, or an input that takes no image.
    """
    if len(shape) != 3 or shape[0] != preprocessing.channels:
        raise NetspecError(f"an input of {shape} takes no {preprocessing.channel_order} image")
    image = _center(path, _open(path, preprocessing), preprocessing.resize_shorter_side, shape[1], shape[2])
    pixels = np.asarray(image, np.float32)
    channels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    return normalize(channels[::-1] if preprocessing.channel_order == "bgr" else channels, preprocessing)


def _open(path: Path, preprocessing: Preprocessing) -> Image:
    """The image, upright, decoded to the end, 8 bits a channel."""
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError  # noqa: PLC0415 # one command alone reads images
    except ImportError as error:
        raise NetspecError("reading images needs pillow, not installed here", "pip install 'netspec[onnx]'") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as opened:
                upright = ImageOps.exif_transpose(opened)
                upright.load()
    except FileNotFoundError as error:
        raise NetspecError(f"{path}: there is no such file") from error
    except UnidentifiedImageError as error:
        raise NetspecError(f"{path}: not an image that Pillow reads") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise NetspecError(f"{path}: refused, its size in pixels is that of a decompression bomb") from error
    except DAMAGED as error:
        raise NetspecError(f"{path}: a damaged image: {error}") from error
    if upright.mode in {"I", "F"}:
        raise NetspecError(f"{path}: expected 8 or 16 bits a channel, received 32, whose range is not known")
    if upright.mode.startswith("I;16"):  # Pillow's own conversion cuts 16 bits off at 255
        upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
    if upright.has_transparency_data:  # without this, what shows is whatever lies under the transparent pixels
        colors = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", colors.size, "white"), colors)
    return upright.convert("L" if preprocessing.channel_order == "gray" else "RGB")


def _center(path: Path, image: Image, shorter_side: int | None, height: int, width: int) -> Image:
    """Resize to the shorter side (or to what covers the crop), and cut out the centre."""
    from PIL.Image import MAX_IMAGE_PIXELS, Resampling  # noqa: PLC0415 # likewise

    factor = shorter_side / min(image.size) if shorter_side else 1.0
    factor = max(factor, height / image.height, width / image.width)
    size = (max(width, round(image.width * factor)), max(height, round(image.height * factor)))
    if MAX_IMAGE_PIXELS is not None and size[0] * size[1] > MAX_IMAGE_PIXELS:
        before, after = (f"{width}x{height}" for width, height in (image.size, size))
        raise NetspecError(f"{path}: too long and thin: {before} would be resized to {after}")
    if size != image.size:
        image = image.resize(size, Resampling.BILINEAR)  # antialiased when it shrinks
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))
