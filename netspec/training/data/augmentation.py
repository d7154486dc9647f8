"""What is done to a training image at random, and the views of an image that is scored.

What sample i undergoes in epoch e is a function of (seed, e, i): processes, backend and resumption do not matter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from netspec.preprocessing import Pixels, center, resize
from netspec.recipe import Augmentation
from netspec.training.data.augment import load_operations
from netspec.training.data.augment.erasing import Erasures, draw_erasures
from netspec.training.data.augment.parts import between, part_of
from netspec.training.data.augment.policy import Changes, draw_changes
from netspec.training.data.augment.streams import stream_of_each
from netspec.training.data.deformation import deform
from netspec.training.data.statistics import Components


@dataclass(frozen=True, slots=True)
class Draws:
    """What images undergo, a row for each.

    Attributes:
        augmentation: what of.
        zooms: numbers from 0 to 1 that decide how large a part of the image the crop is. Shape: (n, 2).
        corners: where the crop begins, from 0 at the top or left to 1; None for the centre. Shape: (n, 2).
        flips: whether it is mirrored. Shape: (n,).
        shifts: added to every pixel, or None. Shape: (n, C). Units: pixel values.
        changes: what a policy does to the pixels of what was cut and mirrored, or None.
        erasures: what is then erased of it, or None.
        bgr: whether pixels are blue, green and red, of which a policy has to know.
        turns: quarters of a turn, or None. Shape: (n,).
        displacements: of the points of a grid, rows and columns, or None. Shape: (n, grid, grid, 2). Units: pixels.
    """

    augmentation: Augmentation
    zooms: NDArray[np.float64]
    corners: NDArray[np.float64] | None
    flips: NDArray[np.bool_]
    shifts: NDArray[np.float32] | None
    turns: NDArray[np.int64] | None = None
    displacements: NDArray[np.float64] | None = None
    changes: Changes | None = None
    erasures: Erasures | None = None
    bgr: bool = False

    def extent(self, row: int, image: tuple[int, int], crop: tuple[int, int]) -> tuple[int, int]:
        """The rows and columns of an image that become the crop, both sizes given by height and width."""
        first, second = self.zooms[row].tolist()
        if bounds := self.augmentation.random_resized_crop:
            return part_of(image, between(*bounds.area, first), bounds.aspect_ratio, second)
        if sides := self.augmentation.random_shorter_side:
            side = sides[0] + int(first * (sides[1] - sides[0] + 1))
            factor = max(side / min(image), crop[0] / image[0], crop[1] / image[1])
            rows, columns = (max(1, round(size / factor)) for size in crop)
            return min(rows, image[0]), min(columns, image[1])
        return crop

    def corner(self, row: int, spare: tuple[int, int]) -> tuple[int, int]:
        """The top and left of a crop, every legal one as likely; `spare` rows and columns are cut off in all."""
        if self.corners is None:
            return spare[0] // 2, spare[1] // 2
        down, right = self.corners[row].tolist()
        return int(down * (spare[0] + 1)), int(right * (spare[1] + 1))


def draw(
    seed: int,
    epoch: int,
    indices: NDArray[np.int64],
    augmentation: Augmentation,
    components: Components | None = None,
    *,
    bgr: bool = False,
) -> Draws:
    """What images undergo in an epoch; that of each depends on no other.

    All is drawn in one order, asked for or not: a flip that is added to a recipe leaves the crops as they were. A
    policy and random erasing have streams of their own.
    The color noise is the paper's: each component times its deviation times N(0, std), once an image.

    Args:
        seed: of the recipe.
        epoch: from 0.
        indices: of the samples in their dataset.
        augmentation: what is drawn.
        components: of the training set, for the color noise.
        bgr: whether images are blue, green and red.

    Source: Krizhevsky et al. 2012, section 4.1.
    """
    uniform, normal, zooms = np.empty((len(indices), 3)), np.empty((len(indices), 3)), np.empty((len(indices), 2))
    for row, random in enumerate(stream_of_each(seed, "augment", epoch, indices)):
        random.random(out=uniform[row])
        random.standard_normal(out=normal[row])
        random.random(out=zooms[row])
    noise, shifts = augmentation.color_noise, None
    if noise and components:
        alpha = noise.std * normal[:, : len(components.values)]
        # Not a matrix product: BLAS rounds a row by how many there are.
        shifts = (alpha[:, None, :] * components.deviations).sum(axis=2).astype(np.float32)
    flips = (uniform[:, 2] < 0.5) & augmentation.horizontal_flip
    placed = augmentation.random_crop or augmentation.random_resized_crop
    corners = uniform[:, :2] if placed else None
    turns, displacements = _shapes(seed, epoch, indices, augmentation)
    changes = draw_changes(seed, epoch, indices, augmentation)
    erasures = draw_erasures(seed, epoch, indices, augmentation)
    return Draws(augmentation, zooms, corners, flips, shifts, turns, displacements, changes, erasures, bgr)


def _shapes(
    seed: int, epoch: int, indices: NDArray[np.int64], augmentation: Augmentation
) -> tuple[NDArray[np.int64] | None, NDArray[np.float64] | None]:
    """Turns and displacements, from a stream of their own: what the others are does not depend on them."""
    deformation = augmentation.elastic_deformation
    if not (deformation or augmentation.quarter_turns):
        return None, None
    points = deformation.grid if deformation else 0
    turns, displacements = np.empty(len(indices), np.int64), np.empty((len(indices), points, points, 2))
    for row, random in enumerate(stream_of_each(seed, "shapes", epoch, indices)):
        turns[row] = int(random.random() * 4)
        random.standard_normal(out=displacements[row])
    return turns if augmentation.quarter_turns else None, deformation.std * displacements if deformation else None


def cut(target: Pixels, image: Pixels, row: int, draws: Draws, *, nearest: bool = False) -> None:
    """Apply a row of draws to an image, except for the shift of its colors, in an array of the crop's size.

    Of a mask, the same crop by the `nearest` pixels, whose values stay what they are.
    """
    _cut_crop(target, image, row, draws, nearest=nearest)
    if nearest:
        return
    if draws.changes and (steps := draws.changes.steps(row)):
        load_operations().transform(target, steps, bgr=draws.bgr)
    if draws.erasures:
        draws.erasures.erase(target, row)


def _cut_crop(target: Pixels, image: Pixels, row: int, draws: Draws, *, nearest: bool) -> None:
    height, width, channels = target.shape
    if around := draws.augmentation.crop_padding:
        image = np.pad(image, ((around, around), (around, around), (0, 0)))
    rows, columns = draws.extent(row, (image.shape[0], image.shape[1]), (height, width))
    top, left = draws.corner(row, (image.shape[0] - rows, image.shape[1] - columns))
    crop = image[top : top + rows, left : left + columns]
    if (rows, columns) != (height, width):
        crop = resize(crop, height, width, nearest=nearest)
    if draws.flips[row]:
        crop = crop[:, ::-1]
    if draws.turns is not None:
        crop = np.rot90(crop, draws.turns[row])
    if draws.displacements is not None:
        crop = deform(crop, draws.displacements[row], nearest=nearest)
    if crop.strides[1] == channels and crop.strides[2] == 1:
        target[...] = crop
        return
    for channel in range(channels):  # a fourth of the time that NumPy takes for short last axes in an odd order
        target[..., channel] = crop[..., channel]


def evaluation_views(image: Pixels, height: int, width: int, views: int) -> Pixels:
    """The views of an image that is scored. Shapes: (H, W, C) → (views, height, width, C).

    One is the centre; ten are the corners (from the top left by rows), the centre, and these five mirrored.

    Source: Krizhevsky et al. 2012, section 4.1.
    """
    if views == 1:
        return center(image, height, width)[None]
    bottom, right = image.shape[0] - height, image.shape[1] - width
    corners = [image[top : top + height, left : left + width] for top in (0, bottom) for left in (0, right)]
    five = np.stack([*corners, center(image, height, width)])
    return np.concatenate([five, five[:, :, ::-1]])
