"""The size of a rectangle within an image, from its area and its aspect ratio."""

from __future__ import annotations

import math


def interpolate(least: float, greatest: float, share: float) -> float:
    """Interpolate linearly: `least` at share 0, `greatest` at share 1."""
    return least + share * (greatest - least)


def part_size(image: tuple[int, int], area: float, ratios: tuple[float, float], share: float) -> tuple[int, int]:
    """Return the height and width of a rectangle of a given area and a random aspect ratio (width over height).

    The ratio is drawn among those at which the rectangle fits into the image. torchvision's RandomResizedCrop draws
    area and ratio again until they fit instead, and so gives large areas less often than the paper. If the image is
    too long and thin for all ratios, the result is the largest rectangle of the nearest ratio.

    Args:
        image: height and width of the image.
        area: the area of the rectangle, as a share of that of the image.
        ratios: the least and the greatest aspect ratio.
        share: from 0 to 1, the position of the logarithm of the ratio between those of the least and the greatest
            ratio that fit.
    """
    height, width = image
    least = min(max(ratios[0], area * width / height), ratios[1])
    greatest = max(min(ratios[1], width / (area * height)), ratios[0])
    ratio = math.exp(interpolate(math.log(least), math.log(greatest), share))
    pixels = min(area * height * width, height * height * ratio, width * width / ratio)
    rows, columns = round(math.sqrt(pixels / ratio)), round(math.sqrt(pixels * ratio))
    return min(max(1, rows), height), min(max(1, columns), width)
