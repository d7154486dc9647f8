"""From a photograph on disk to the input of a network, as its `Preprocessing` says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from netspec.errors import NetspecError
from netspec.graph import Preprocessing
from netspec.ops.base import Array

if TYPE_CHECKING:
    from PIL.Image import Image


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

    Its orientation tag is obeyed. An image that is smaller than the network's input after the resize is enlarged until
    it covers it.

    Args:
        path: any image that Pillow reads.
        shape: the input's (C, H, W).
        preprocessing: resize, channel order and normalisation; the centre of H by W is cut out between them.

    Raises:
        NetspecError: no such file, not an image, a damaged or an absurdly large one, or an input that takes no image.
    """
    if len(shape) != 3 or shape[0] != preprocessing.channels:
        raise NetspecError(f"an input of {shape} takes no {preprocessing.channel_order} image")
    image = _center(_open(path, preprocessing), preprocessing.resize_shorter_side, shape[1], shape[2])
    pixels = np.asarray(image, np.uint8)
    channels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    return normalize(channels[::-1] if preprocessing.channel_order == "bgr" else channels, preprocessing)


def _open(path: Path, preprocessing: Preprocessing) -> Image:
    """The image, upright, decoded to the end, 8 bits a channel."""
    try:
        from PIL import Image as images  # noqa: PLC0415 # images are read by one command alone
        from PIL import ImageOps  # noqa: PLC0415 # likewise
    except ImportError as error:
        raise NetspecError("reading images needs pillow, not installed here", "pip install 'netspec[onnx]'") from error
    try:
        with images.open(path) as opened:
            upright = ImageOps.exif_transpose(opened)
            if upright.mode.startswith("I;16"):  # Pillow's own conversion cuts 16 bits off at 255
                upright = images.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
            return upright.convert("L" if preprocessing.channel_order == "gray" else "RGB")
    except FileNotFoundError as error:
        raise NetspecError(f"{path}: there is no such file") from error
    except images.UnidentifiedImageError as error:
        raise NetspecError(f"{path}: not an image that Pillow reads") from error
    except images.DecompressionBombError as error:
        raise NetspecError(f"{path}: refused, its size in pixels is that of a decompression bomb") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise NetspecError(f"{path}: a damaged image: {error}") from error


def _center(image: Image, shorter_side: int | None, height: int, width: int) -> Image:
    """Resize to the shorter side (or to what covers the crop), and cut out the centre."""
    from PIL.Image import Resampling  # noqa: PLC0415 # likewise

    factor = shorter_side / min(image.size) if shorter_side else 1.0
    factor = max(factor, height / image.height, width / image.width)
    size = (max(width, round(image.width * factor)), max(height, round(image.height * factor)))
    if size != image.size:
        image = image.resize(size, Resampling.BILINEAR)  # antialiased when it shrinks
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))
