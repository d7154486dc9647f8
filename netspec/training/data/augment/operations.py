"""The operations that policies choose among, on uint8 pixels, implemented with Pillow.

The unit of the argument depends on the operation: degrees, bits, a factor. Geometric operations sample the nearest
pixel and fill empty regions with 128, as in the authors' code (tensorflow/tpu,
models/official/efficientnet/autoaugment.py). `color` leaves a gray image unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from netspec.preprocessing import Pixels
from netspec.training.data.augment.policy import Operation, Step

FILL: Final[dict[str, int | tuple[int, int, int]]] = {"L": 128, "RGB": (128, 128, 128)}


def rotate(image: Image.Image, degrees: float) -> Image.Image:
    """Rotate about the centre, counterclockwise."""
    return image.rotate(degrees, Image.Resampling.NEAREST, fillcolor=FILL[image.mode])


def shear_x(image: Image.Image, slope: float) -> Image.Image:
    """Move each row to the right by `slope` times its distance from the top."""
    return _affine(image, (1, -slope, 0, 0, 1, 0))


def shear_y(image: Image.Image, slope: float) -> Image.Image:
    """Move each column down by `slope` times its distance from the left."""
    return _affine(image, (1, 0, 0, -slope, 1, 0))


def translate_x(image: Image.Image, share: float) -> Image.Image:
    """Move to the right by a share of the width."""
    return _affine(image, (1, 0, -share * image.width, 0, 1, 0))


def translate_y(image: Image.Image, share: float) -> Image.Image:
    """Move down by a share of the height."""
    return _affine(image, (1, 0, 0, 0, 1, -share * image.height))


def _affine(image: Image.Image, matrix: tuple[float, ...]) -> Image.Image:
    fill = FILL[image.mode]
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST, fillcolor=fill)


# `invert` is 255 minus the value. `auto_contrast` stretches the values of each channel to 0 … 255, `equalize` flattens
# their histogram. `solarize` inverts values from a threshold on, `posterize` keeps the upper bits. The enhancements
# extrapolate by a factor from a degenerate image (0) through the image (1): without color, without contrast, black,
# or blurred.
OPERATIONS: Final[dict[Operation, Callable[[Image.Image, float], Image.Image]]] = {
    "identity": lambda image, _: image,
    "auto_contrast": lambda image, _: ImageOps.autocontrast(image),
    "equalize": lambda image, _: ImageOps.equalize(image),
    "invert": lambda image, _: ImageOps.invert(image),
    "rotate": rotate,
    "solarize": lambda image, threshold: ImageOps.solarize(image, int(threshold)),
    "posterize": lambda image, bits: ImageOps.posterize(image, int(bits)),
    "color": lambda image, factor: ImageEnhance.Color(image).enhance(factor),
    "contrast": lambda image, factor: ImageEnhance.Contrast(image).enhance(factor),
    "brightness": lambda image, factor: ImageEnhance.Brightness(image).enhance(factor),
    "sharpness": lambda image, factor: ImageEnhance.Sharpness(image).enhance(factor),
    "shear_x": shear_x,
    "shear_y": shear_y,
    "translate_x": translate_x,
    "translate_y": translate_y,
}


def transform(pixels: Pixels, steps: Sequence[Step], *, bgr: bool = False) -> None:
    """Apply operations to an image one after the other, in place.

    Args:
        pixels: a gray or color image. Shape: (H, W, 1) or (H, W, 3).
        steps: the operations and their arguments.
        bgr: whether the channels are blue, green, red instead of red, green, blue.
    """
    view = pixels[..., 0] if pixels.shape[2] == 1 else pixels[..., ::-1] if bgr else pixels
    image = Image.fromarray(view)
    for operation, argument in steps:
        image = OPERATIONS[operation](image, argument)
    view[...] = np.asarray(image)
