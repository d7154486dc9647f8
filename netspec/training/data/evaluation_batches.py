"""Build the batches of an evaluation: each sample once, in order; an image as its views or its tiles."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from netspec.graph import Preprocessing
from netspec.preprocessing import Pixels
from netspec.recipe.augmentation import Views
from netspec.training.data.augmentation import evaluation_views
from netspec.training.data.dataset import Dataset
from netspec.training.data.findings import OnBadSample
from netspec.training.data.masked_images import MaskedImageReader, open_reader
from netspec.training.data.parallel import available_threads, prefetch
from netspec.training.data.samples import Reader, ReadOptions, Samples
from netspec.training.data.targets import MapRule

TILED = 4  # images with masks that are read and cut into tiles at a time


class EvaluationBatch(NamedTuple):
    """Samples that are scored together.

    Attributes:
        inputs: uint8 views of images, (n, views, H, W, C); tiles of images with masks, with one view; or features,
            (n, …).
        labels: class numbers. Shape: (n,); for masks (n, H, W), as in `Batch.labels`.
        indices: of the samples in the dataset. Shape: (n,). For tiles, only the images whose first tile is here.
    """

    inputs: NDArray[Any]
    labels: NDArray[np.int64]
    indices: NDArray[np.int64]


def evaluation_batches(
    dataset: Dataset,
    input_shape: tuple[int, ...],
    preprocessing: Preprocessing | None,
    views: Views,
    batch_size: int,
    rank: int = 0,
    world: int = 1,
    *,
    on_bad_sample: OnBadSample = "fatal",
    skipped: Callable[[str], None] = lambda _: None,
    threads: int | None = None,
    rule: MapRule | None = None,
) -> Generator[EvaluationBatch]:
    """Yield every sample of a dataset once, in order, in batches that are read ahead.

    Args:
        dataset: the samples to score.
        input_shape: the shape of the network's input, without the batch.
        preprocessing: that of the network; None leaves pixel values unchanged.
        views: number of views of each image; features always have one, the sample itself.
        batch_size: samples, not views, in a batch.
        rank: the number of this process; it gets the samples rank, rank + world, …
        world: number of processes that score together.
        on_bad_sample: whether a bad sample is an error or is skipped.
        skipped: called with a message for each skipped sample.
        threads: number of threads that read samples; None for one per core.
        rule: how masks are converted to labels, if the dataset has masks. The images are then scored whole, in tiles.

    Raises:
        BadDataError: a sample is bad and bad samples are fatal.
        NetspecError: dataset and network do not fit together, or grain is not installed.
    """
    rule = replace(rule, weights=None) if rule else None  # in a score, all pixels have the same weight
    reader = open_reader(dataset, ReadOptions(input_shape, preprocessing, on_bad_sample, rule=rule))
    indices = np.arange(len(dataset))[rank::world]
    threads = threads or available_threads()
    if isinstance(reader, MaskedImageReader):
        yield from _tiles(reader, indices, batch_size, threads, skipped)
    else:
        yield from _views(reader, dataset.labels, indices, views, batch_size, threads, skipped)


def _views(
    reader: Reader,
    labels: NDArray[np.int64],
    indices: NDArray[np.int64],
    views: Views,
    batch_size: int,
    threads: int,
    skipped: Callable[[str], None],
) -> Generator[EvaluationBatch]:
    """Yield batches of samples, each sample with all its views."""

    def read(number: int) -> tuple[EvaluationBatch, tuple[str, ...]]:
        batch_indices = indices[number * batch_size : (number + 1) * batch_size]
        samples = reader.read(batch_indices, threads, _CutViews(views), (views,))
        good = batch_indices[samples.good]
        batch_labels = labels[good] if samples.labels is None else samples.labels
        return EvaluationBatch(samples.inputs, batch_labels, good), samples.bad

    with closing(prefetch(read, 0, -(-len(indices) // batch_size))) as batches:
        for batch, bad in batches:
            for message in bad:
                skipped(message)
            if len(batch.labels):
                yield batch


def _tiles(
    reader: MaskedImageReader,
    indices: NDArray[np.int64],
    batch_size: int,
    threads: int,
    skipped: Callable[[str], None],
) -> Generator[EvaluationBatch]:
    """Yield batches of tiles that cover whole images with masks; `TILED` images are read at a time."""

    def read(number: int) -> Samples:
        return reader.read_tiles(indices[number * TILED : (number + 1) * TILED], threads)

    with closing(prefetch(read, 0, -(-len(indices) // TILED))) as groups:
        for number, tiles in enumerate(groups):
            for message in tiles.bad:
                skipped(message)
            for start in range(0, len(tiles.good), batch_size):
                batch = slice(start, start + batch_size)
                assert tiles.labels is not None  # noqa: S101 # if there are tiles, there are labels
                positions = tiles.good[batch]
                first_here = indices[number * TILED + positions[positions >= 0]]
                yield EvaluationBatch(tiles.inputs[batch][:, None], tiles.labels[batch], first_here)


@dataclass(frozen=True, slots=True)
class _CutViews:
    """Cuts the views of images: a `Cut`."""

    views: Views

    def __call__(self, target: Pixels, image: Pixels, position: int, /, *, nearest: bool = False) -> None:
        """Write the views of an image into `target`."""
        del position, nearest
        target[...] = evaluation_views(image, target.shape[1], target.shape[2], self.views)

    def mirrors(self, position: int, /) -> bool:
        """No sample is mirrored as a whole."""
        del position
        return False
