"""Random augmentation of training images, and the views of an image that is scored.

The augmentation of sample i in epoch e is a function of (seed, e, i). It does not depend on the number of processes,
the backend, or whether the run was resumed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from netspec.preprocessing import Pixels, center, resize
from netspec.recipe import Augmentation
from netspec.training.data.augment import load_operations
from netspec.training.data.augment.erasing import Erasures, draw_erasures
from netspec.training.data.augment.jitter import Jitters, draw_jitters
from netspec.training.data.augment.parts import interpolate, part_size
from netspec.training.data.augment.policy import Changes, Step, draw_changes
from netspec.training.data.augment.streams import stream_of_each
from netspec.training.data.deformation import deform
from netspec.training.data.statistics import Components

WORD = np.dtype(np.uint64)


@dataclass(frozen=True, slots=True)
class Draws:
    """The random parameters of the augmentation of n images, one row per image.

    Attributes:
        augmentation: the augmentation that the parameters were drawn for.
        zooms: uniform numbers in [0, 1) that determine the size of the crop. Shape: (n, 2).
        corners: uniform numbers in [0, 1) that determine the top and left of the crop; None for the centre. Shape:
            (n, 2).
        flips: whether the crop is mirrored. Shape: (n,).
        shifts: color noise, added to every pixel; or None. Shape: (n, C). Units: pixel values.
        turns: number of quarter turns; or None. Shape: (n,).
        displacements: rows and columns by which the points of a grid are displaced; or None. Shape:
            (n, grid, grid, 2). Units: pixels.
        jitters: changes of brightness, contrast and saturation; or None.
        changes: operations of a policy, applied after them to the pixels of the crop; or None.
        erasures: rectangles that are erased after that; or None.
        bgr: whether the channels are blue, green, red, which the operations of a policy have to know.
    """

    augmentation: Augmentation
    zooms: NDArray[np.float64]
    corners: NDArray[np.float64] | None
    flips: NDArray[np.bool_]
    shifts: NDArray[np.float32] | None
    turns: NDArray[np.int64] | None = None
    displacements: NDArray[np.float64] | None = None
    jitters: Jitters | None = None
    changes: Changes | None = None
    erasures: Erasures | None = None
    bgr: bool = False

    def steps(self, row: int) -> tuple[Step, ...]:
        """Return the operations on the pixels of a crop, in the order in which they are applied."""
        return tuple(step for each in (self.jitters, self.changes) if each for step in each.steps(row))

    def extent(self, row: int, image: tuple[int, int], crop: tuple[int, int]) -> tuple[int, int]:
        """Return the height and width of the region of an image that is resized to the crop.

        Args:
            row: the row of the image.
            image: height and width of the image.
            crop: height and width of the crop.
        """
        first, second = self.zooms[row].tolist()
        if bounds := self.augmentation.random_resized_crop:
            return part_size(image, interpolate(*bounds.area, first), bounds.aspect_ratio, second)
        if sides := self.augmentation.random_shorter_side:
            side = sides[0] + int(first * (sides[1] - sides[0] + 1))
            factor = max(side / min(image), crop[0] / image[0], crop[1] / image[1])
            rows, columns = (max(1, round(size / factor)) for size in crop)
            return min(rows, image[0]), min(columns, image[1])
        return crop

    def corner(self, row: int, spare: tuple[int, int]) -> tuple[int, int]:
        """Return the top and left of a region, every position equally likely.

        Args:
            row: the row of the image.
            spare: how many rows and columns larger the image is than the region.
        """
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
    """Draw the augmentation of images in an epoch; each image independently of the others.

    All numbers are always drawn, in a fixed order, whether the recipe uses them or not: adding a flip to a recipe does
    not change its crops. Shapes, policies and random erasing have random streams of their own.
    The color noise is that of the paper: for each image, a sum of the principal components, each scaled by its
    standard deviation and a factor drawn from N(0, std).

    Args:
        seed: the seed of the recipe.
        epoch: from 0.
        indices: the indices of the samples in their dataset.
        augmentation: the augmentation of the recipe.
        components: the principal components of the training set, for color noise.
        bgr: whether the channels are blue, green, red.

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
        # Not a matrix product: in BLAS, the rounding of a row depends on the number of rows.
        shifts = (alpha[:, None, :] * components.deviations).sum(axis=2).astype(np.float32)
    flips = (uniform[:, 2] < 0.5) & augmentation.horizontal_flip
    random_position = augmentation.random_crop or augmentation.random_resized_crop
    corners = uniform[:, :2] if random_position else None
    turns, displacements = _draw_shapes(seed, epoch, indices, augmentation)
    jitters = draw_jitters(seed, epoch, indices, augmentation)
    changes = draw_changes(seed, epoch, indices, augmentation)
    erasures = draw_erasures(seed, epoch, indices, augmentation)
    return Draws(augmentation, zooms, corners, flips, shifts, turns, displacements, jitters, changes, erasures, bgr)


def _draw_shapes(
    seed: int, epoch: int, indices: NDArray[np.int64], augmentation: Augmentation
) -> tuple[NDArray[np.int64] | None, NDArray[np.float64] | None]:
    """Draw quarter turns and displacements, from a separate stream: the other draws do not depend on them."""
    deformation = augmentation.elastic_deformation
    if not (deformation or augmentation.quarter_turns):
        return None, None
    points = deformation.grid if deformation else 0
    turns, displacements = np.empty(len(indices), np.int64), np.empty((len(indices), points, points, 2))
    for row, random in enumerate(stream_of_each(seed, "shapes", epoch, indices)):
        turns[row] = int(random.random() * 4)
        random.standard_normal(out=displacements[row])
    return turns if augmentation.quarter_turns else None, deformation.std * displacements if deformation else None


@dataclass(frozen=True, slots=True)
class Crops:
    """Cuts the crops of a batch: a `Cut`."""

    draws: Draws

    def __call__(self, target: Pixels, image: Pixels, position: int, /, *, nearest: bool = False) -> None:
        """Write the augmented crop of an image, or of its mask, into `target`."""
        cut(target, image, position, self.draws, nearest=nearest)

    def mirrors(self, position: int, /) -> bool:
        """Whether the crop is mirrored."""
        return bool(self.draws.flips[position])


def cut(target: Pixels, image: Pixels, row: int, draws: Draws, *, nearest: bool = False) -> None:
    """Write the augmented crop of an image into `target`, except for color noise, which is added in float later.

    For a mask, pass `nearest`: it gets the same crop, resampled by nearest pixel so that class numbers are preserved.
    """
    _write_crop(target, image, row, draws, nearest=nearest)
    if nearest:
        return
    if steps := draws.steps(row):
        load_operations().transform(target, steps, bgr=draws.bgr)
    if draws.erasures:
        draws.erasures.erase(target, row)


def _write_crop(target: Pixels, image: Pixels, row: int, draws: Draws, *, nearest: bool) -> None:
    height, width, _ = target.shape
    if padding := draws.augmentation.crop_padding:
        image = np.pad(image, ((padding, padding), (padding, padding), (0, 0)))
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
    _copy(target, crop)


def _copy(target: Pixels, crop: Pixels) -> None:
    """Copy a crop into its place, as fast as its layout allows. NumPy alone is slow where the last axis is short."""
    height, _, channels = target.shape
    if crop.strides[1:] == (channels, 1):
        target[...] = crop
    elif crop.strides[1] == -channels and (crop.strides[2] == -1 or channels == 1) and target.flags.c_contiguous:
        _copy_backwards(target.reshape(height, -1), crop[:, ::-1, ::-1].reshape(height, -1))
    else:
        for channel in range(channels):
            target[..., channel] = crop[..., channel]


def _copy_backwards(target: NDArray[np.uint8], source: NDArray[np.uint8]) -> None:
    """Copy rows of bytes in reverse order, eight bytes at a time as numbers of the other byte order. Shapes: (H, W)."""
    length = source.shape[1]
    rest = length % WORD.itemsize
    target[:, : length - rest].view(WORD)[...] = source[:, rest:].view(WORD.newbyteorder())[:, ::-1]
    target[:, length - rest :] = source[:, :rest][:, ::-1]


def evaluation_views(image: Pixels, height: int, width: int, views: int) -> Pixels:
    """Return the views of an image that is scored. Shapes: (H, W, C) → (views, height, width, C).

    A single view is the centre crop. Ten views are the four corners (row by row), the centre, and these five mirrored.

    Source: Krizhevsky et al. 2012, section 4.1.
    """
    if views == 1:
        return center(image, height, width)[None]
    bottom, right = image.shape[0] - height, image.shape[1] - width
    corners = [image[top : top + height, left : left + width] for top in (0, bottom) for left in (0, right)]
    five = np.stack([*corners, center(image, height, width)])
    return np.concatenate([five, five[:, :, ::-1]])
