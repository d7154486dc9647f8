"""Images read with their masks: for a step, crop by crop; to be scored, whole and tile by tile."""

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
from netspec.training.data.samples import Cut, FeatureReader, ImageReader, Reader, Reading, Samples, in_order
from netspec.training.data.targets import MapRule, Targets, mirrored
from netspec.training.data.tiles import tiles_of


class MaskedImageReader(ImageReader):
    """Reads images and their masks.

    Images are mirrored around themselves, as far as the input reaches beyond the output; not where crops are cut from
    images of their own size.

    Raises:
        NetspecError: the input takes no images.
    """

    def __init__(self, dataset: Dataset, how: Reading, rule: MapRule) -> None:
        super().__init__(dataset, how)
        self._rule = rule

    def read(self, indices: NDArray[np.int64], threads: int, cut: Cut, views: tuple[int, ...] = ()) -> Samples:
        """Images, uint8, with labels. Shape of the inputs: (n, *views, H, W, C), of one view."""
        targets = Targets(self._rule, len(indices))

        def put(target: Pixels, index: int, position: int) -> None:
            image, mask = self._pair(index)
            cut(target, image, position)
            seen = np.empty((*views, self.height, self.width, 1), np.uint8)
            cut(seen, mask, position, nearest=True)
            targets.fill(position, seen.reshape(self.height, self.width, 1))

        samples = self._filled(indices, threads, put, views)
        labels, weights = targets.of(samples.good)
        return replace(samples, labels=labels, weights=weights)

    def read_tiles(self, indices: NDArray[np.int64], threads: int) -> Samples:
        """Images whole, in tiles: as `Samples`, of which several may be one image's.

        Returns:
            `good` has the position of the image for its first tile, and -1 for the others.

        Raises:
            BadDataError: as of `read`.
        """
        read, given = (self.height, self.width), self._rule.size

        def tiled(index: int) -> tuple[Pixels, NDArray[np.int64]] | str:
            try:
                return tiles_of(*self._pair(index), read, given)
            except BadSampleError as error:
                return error.message

        found = list(enumerate(in_threads(tiled, indices.tolist(), threads)))
        bad = {position: each for position, each in found if isinstance(each, str)}
        self._good(len(indices), bad, threads)
        pairs = [(position, each) for position, each in found if not isinstance(each, str)]
        if not pairs:
            return Samples(np.empty((0, *read, self.how.shape[0]), np.uint8), np.empty(0, np.int64), in_order(bad))
        firsts = [[position, *[-1] * (len(labels) - 1)] for position, (_, labels) in pairs]
        inputs, labels = (np.concatenate(arrays) for arrays in zip(*(each for _, each in pairs), strict=True))
        return Samples(inputs, np.concatenate(firsts), in_order(bad), labels)

    def check(self, index: int) -> None:
        """Decode an image and its mask."""
        self._pair(index)

    def _pair(self, index: int) -> tuple[Pixels, Pixels]:
        """An image and its mask, brought to one size."""
        image = read_image(self.dataset, index, self._preprocessing, None, self._scratch)
        mask = read_mask(self.dataset, index, image.shape[:2], self._rule.classes)
        if self.how.whole:
            return image, mask
        side = self._preprocessing.resize_shorter_side
        try:
            image = fit_to(image, side, *self._rule.size)
        except DamagedImageError as error:
            raise BadSampleError(f"{self.dataset.describe(index)}: {error.message}") from error
        mask = fit_to(mask, side, *self._rule.size, nearest=True)
        margins = self._rule.margins(self.height, self.width)
        return mirrored(image, margins), mirrored(mask, margins)


def open_reader(dataset: Dataset, how: Reading) -> Reader:
    """The reader of a dataset for a network's input.

    Raises:
        NetspecError: the dataset is empty, or the input takes no images.
    """
    if not len(dataset):
        raise NetspecError(f"{dataset.origin}: there are no samples in it")
    if not dataset.images:
        return FeatureReader(dataset, how)
    return MaskedImageReader(dataset, how, how.rule) if how.rule else ImageReader(dataset, how)
