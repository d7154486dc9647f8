"""Elastic deformation: each pixel is taken from somewhere near, by displacements that vary smoothly.

Source: Ronneberger et al. 2015, section 3.1.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from netspec.preprocessing import Pixels
from netspec.training.data.findings import needed_for

Floats = NDArray[np.float64]


def deform(image: Pixels, displacements: Floats, *, nearest: bool = False) -> Pixels:
    """An image whose pixels come from displaced places, mirrored at its edges: bilinear, or by the nearest pixel.

    Args:
        image: Shape: (H, W, C).
        displacements: rows and columns, at points evenly over the image from corner to corner. Shape: (grid, grid, 2).
            Units: pixels.
        nearest: for masks.
    """
    with needed_for("elastic_deformation"):
        from scipy import ndimage  # noqa: PLC0415 # few recipes deform
    height, width, channels = image.shape
    places = field(displacements, height, width)
    places[0] += np.arange(height)[:, None]
    places[1] += np.arange(width)
    deformed = np.empty_like(image)
    for channel in range(channels):
        values = ndimage.map_coordinates(
            image[..., channel].astype(np.float32), places, order=0 if nearest else 1, mode="mirror"
        )
        deformed[..., channel] = np.rint(values)
    return deformed


def field(displacements: Floats, height: int, width: int) -> Floats:
    """The displacement of every pixel, by cubic splines between the points. Shapes: (grid, grid, 2) → (2, H, W)."""
    along_rows, along_columns = _splines(len(displacements), height), _splines(len(displacements), width)
    # Not a matrix product: a run elsewhere is to see the same pixels, and BLAS rounds as it likes.
    lines = (along_rows[:, :, None, None] * displacements).sum(axis=1)  # (H, grid, 2)
    found = np.zeros((2, height, width))
    for point in range(len(displacements)):
        found += lines[:, point].T[:, :, None] * along_columns[:, point]
    return found


@lru_cache(maxsize=8)
def _splines(points: int, size: int) -> Floats:
    """What each of the points of a line counts at each of `size` places along it. Shape: (size, points)."""
    from scipy import ndimage  # noqa: PLC0415 # likewise

    places = np.linspace(0, points - 1, size)
    columns = [ndimage.map_coordinates(one, [places], order=3, mode="mirror") for one in np.eye(points)]
    found = np.stack(columns, axis=1)
    found.flags.writeable = False
    return found
