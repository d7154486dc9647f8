"""How large a part of an image is, by its share of the area and its aspect ratio."""

from __future__ import annotations

import math


def between(least: float, greatest: float, share: float) -> float:
    """What lies so far from a least to a greatest."""
    return least + share * (greatest - least)


def part_of(image: tuple[int, int], area: float, ratios: tuple[float, float], share: float) -> tuple[int, int]:
    """The rows and columns of a part of an image, by its share of the area and the bounds of its width over height.

    The ratio is drawn among those that fit: torchvision's RandomResizedCrop, which draws area and ratio again until
    they do, has large areas less often than the paper. An image too long and thin for all of them gives the largest
    part that has the nearest.

    Args:
        image: rows and columns of the image.
        area: of the part, as a share of the image's.
        ratios: the least and the greatest.
        share: from 0 to 1, where between the logarithms of those that fit the ratio lies.
    """
    height, width = image
    least = min(max(ratios[0], area * width / height), ratios[1])
    greatest = max(min(ratios[1], width / (area * height)), ratios[0])
    ratio = math.exp(between(math.log(least), math.log(greatest), share))
    pixels = min(area * height * width, height * height * ratio, width * width / ratio)
    rows, columns = round(math.sqrt(pixels / ratio)), round(math.sqrt(pixels * ratio))
    return min(max(1, rows), height), min(max(1, columns), width)
