"""Read images with their masks: as crops for training, as tiles that cover the whole image for evaluation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from netspec.errors import NetspecError
from netspec.preprocessing import DamagedImageError, Pixels
from netspec.preprocessing import fit as fit_to
from netspec.training.data.dataset import BadSampleError, Dataset
from netspec.training.data.images import read_image
from netspec.training.data.mask_folders import read_mask
from netspec.training.data.parallel import in_threads
from netspec.training.data.samples import (
    Cut,
    FeatureReader,
    ImageReader,
    Reader,
    ReadOptions,
    Samples,
    messages_in_order,
)
from netspec.training.data.targets import MapRule, Targets, mirrored
from netspec.training.data.tiles import tiles_of


class MaskedImageReader(ImageReader):
    """Reads images and their masks.

    Unless crops are cut from images of the original size, images are padded by mirroring, with the margin that the
    input of the network has around its output.

    Raises:
        NetspecError: the shape of the network's input is not that of an image.
    """

    def __init__(self, dataset: Dataset, options: ReadOptions, rule: MapRule) -> None:
        super().__init__(dataset, options)
        self._rule = rule

    def read(self, indices: NDArray[np.int64], threads: int, cut: Cut, views: tuple[int, ...] = ()) -> Samples:
        """Read uint8 images and their labels. Shape of the inputs: (n, *views, H, W, C), with at most one view."""
        targets = Targets(self._rule, len(indices))

        def fill_sample(target: Pixels, index: int, position: int) -> None:
            image, mask = self._pair(index)
            cut(target, image, position)
            mask_crop = np.empty((*views, self.height, self.width, 1), np.uint8)
            cut(mask_crop, mask, position, nearest=True)
            targets.fill(position, mask_crop.reshape(self.height, self.width, 1))

        samples = self._read_each(indices, threads, fill_sample, views)
        labels, weights = targets.of(samples.good)
        return replace(samples, labels=labels, weights=weights)

    def read_tiles(self, indices: NDArray[np.int64], threads: int) -> Samples:
        """Read whole images as tiles. Each tile is a sample of the result, so an image may yield several.

        Returns:
            The tiles, image by image. `good` is the position of the image for its first tile, -1 for its other tiles.

        Raises:
            BadDataError: as in `read`.
        """
        input_size, output_size = (self.height, self.width), self._rule.size

        def read_image_tiles(index: int) -> tuple[Pixels, NDArray[np.int64]] | str:
            try:
                return tiles_of(*self._pair(index), input_size, output_size)
            except BadSampleError as error:
                return error.message

        tiles: dict[int, tuple[Pixels, NDArray[np.int64]]] = {}
        bad: dict[int, str] = {}
        for position, result in enumerate(in_threads(read_image_tiles, indices.tolist(), threads)):
            if isinstance(result, str):
                bad[position] = result
            else:
                tiles[position] = result
        self._good_positions(len(indices), bad, threads)  # raises if bad samples are fatal
        messages = messages_in_order(bad)
        if not tiles:
            empty = np.empty((0, *input_size, self.options.shape[0]), np.uint8)
            return Samples(empty, np.empty(0, np.int64), messages)
        positions = [[position, *[-1] * (len(labels) - 1)] for position, (_, labels) in tiles.items()]
        inputs, labels = (np.concatenate(arrays) for arrays in zip(*tiles.values(), strict=True))
        return Samples(inputs, np.concatenate(positions), messages, labels)

    def check(self, index: int) -> None:
        """Decode the image and its mask."""
        self._pair(index)

    def _pair(self, index: int) -> tuple[Pixels, Pixels]:
        """Return an image and its mask, both resized and padded in the same way."""
        image = read_image(self.dataset, index, self._preprocessing, None, self._scratch)
        mask = read_mask(self.dataset, index, image.shape[:2], self._rule.classes)
        if self.options.full_size:
            return image, mask
        side = self._preprocessing.resize_shorter_side
        try:
            image = fit_to(image, side, *self._rule.size)
        except DamagedImageError as error:
            raise BadSampleError(f"{self.dataset.describe(index)}: {error.message}") from error
        mask = fit_to(mask, side, *self._rule.size, nearest=True)
        margins = self._rule.margins(self.height, self.width)
        return mirrored(image, margins), mirrored(mask, margins)


def open_reader(dataset: Dataset, options: ReadOptions) -> Reader:
    """Return the reader for a dataset: of features, images, or images with masks.

    Raises:
        NetspecError: the dataset is empty, or does not fit the shape of the network's input.
    """
    if not len(dataset):
        raise NetspecError(f"{dataset.origin}: there are no samples in it")
    if not dataset.images:
        return FeatureReader(dataset, options)
    return MaskedImageReader(dataset, options, options.rule) if options.rule else ImageReader(dataset, options)
