"""The operations that policies choose among, on uint8 pixels, by Pillow.

What an argument says is the operation's own: degrees, bits, a factor. What leaves a crop empty by moving it is filled
with 128, and a pixel that moves takes the nearest one's value, as in the authors' code (tensorflow/tpu,
models/official/efficientnet/autoaugment.py). A gray image has no color to change: `color` leaves it as it is.
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
    """Turned about its centre, counterclockwise."""
    return image.rotate(degrees, Image.Resampling.NEAREST, fillcolor=FILL[image.mode])


def shear_x(image: Image.Image, slope: float) -> Image.Image:
    """Each row moved to the right by `slope` of its distance from the top."""
    return _affine(image, (1, -slope, 0, 0, 1, 0))


def shear_y(image: Image.Image, slope: float) -> Image.Image:
    """Each column moved down by `slope` of its distance from the left."""
    return _affine(image, (1, 0, 0, -slope, 1, 0))


def translate_x(image: Image.Image, share: float) -> Image.Image:
    """Moved to the right by a share of its width."""
    return _affine(image, (1, 0, -share * image.width, 0, 1, 0))


def translate_y(image: Image.Image, share: float) -> Image.Image:
    """Moved down by a share of its height."""
    return _affine(image, (1, 0, 0, 0, 1, -share * image.height))


def _affine(image: Image.Image, matrix: tuple[float, ...]) -> Image.Image:
    fill = FILL[image.mode]
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST, fillcolor=fill)


# `invert` is 255 minus the value. `auto_contrast` takes the least value of a channel to 0 and the greatest to 255,
# `equalize` makes all about as frequent. `solarize` inverts values from a threshold on, `posterize` keeps upper bits.
# The rest goes by a factor from an image that lacks something (0) to the image (1) and beyond: its color, its contrast
# to the mean, its brightness, its sharpness.
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
    """Do operations to an image, in place, one after the other.

    Args:
        pixels: gray or of three colors. Shape: (H, W, 1) or (H, W, 3).
        steps: what is done.
        bgr: whether colors are blue, green and red, and not red, green and blue.
    """
    seen = pixels[..., 0] if pixels.shape[2] == 1 else pixels[..., ::-1] if bgr else pixels
    image = Image.fromarray(seen)
    for operation, argument in steps:
        image = OPERATIONS[operation](image, argument)
    seen[...] = np.asarray(image)
