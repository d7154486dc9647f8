"""Elastic deformation: each pixel is sampled at a nearby position, by displacements that vary smoothly.

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
    """Return a deformed image. Beyond its edges, the image is mirrored.

    Args:
        image: Shape: (H, W, C).
        displacements: rows and columns, at the points of an even grid from corner to corner. Shape: (grid, grid, 2).
            Units: pixels.
        nearest: sample the nearest pixel, for masks, instead of interpolating bilinearly.
    """
    with needed_for("elastic_deformation"):
        from scipy import ndimage  # noqa: PLC0415 # few recipes deform
    height, width, channels = image.shape
    positions = field(displacements, height, width)
    positions[0] += np.arange(height)[:, None]
    positions[1] += np.arange(width)
    deformed = np.empty_like(image)
    for channel in range(channels):
        values = ndimage.map_coordinates(
            image[..., channel].astype(np.float32), positions, order=0 if nearest else 1, mode="mirror"
        )
        deformed[..., channel] = np.rint(values)
    return deformed


def field(displacements: Floats, height: int, width: int) -> Floats:
    """Interpolate the displacement of every pixel by cubic splines. Shapes: (grid, grid, 2) → (2, H, W)."""
    along_rows, along_columns = _spline_weights(len(displacements), height), _spline_weights(len(displacements), width)
    # Not a matrix product: the rounding of BLAS depends on the machine, and every machine must see the same pixels.
    rows = (along_rows[:, :, None, None] * displacements).sum(axis=1)  # (H, grid, 2)
    interpolated = np.zeros((2, height, width))
    for point in range(len(displacements)):
        interpolated += rows[:, point].T[:, :, None] * along_columns[:, point]
    return interpolated


@lru_cache(maxsize=8)
def _spline_weights(points: int, size: int) -> Floats:
    """Return the weight of each of the points of a line at `size` positions along it. Shape: (size, points)."""
    from scipy import ndimage  # noqa: PLC0415 # few recipes deform

    positions = np.linspace(0, points - 1, size)
    columns = [ndimage.map_coordinates(unit, [positions], order=3, mode="mirror") for unit in np.eye(points)]
    weights = np.stack(columns, axis=1)
    weights.flags.writeable = False
    return weights
