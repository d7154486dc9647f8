"""The samples of a dataset as they are scored: each once, in order, an image in its views or its tiles."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import replace
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
from netspec.training.data.parallel import ahead, available_threads
from netspec.training.data.samples import Cut, Reader, Reading, Samples
from netspec.training.data.targets import MapRule

TILED = 4  # images with masks that are cut into tiles together


class EvaluationBatch(NamedTuple):
    """Samples that are scored together.

    Attributes:
        inputs: views of images, uint8 (n, views, H, W, C); or features, (n, …). Of images with masks, tiles.
        labels: class numbers. Shape: (n,); of masks (n, H, W), as `Batch.labels`.
        indices: of the samples in their dataset; of tiles, those that have their first here. Shape: (n,), or fewer.
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
    """Every sample of a dataset once, in order, read ahead.

    Args:
        dataset: what is scored.
        input_shape: of the network, without the batch.
        preprocessing: of the network; None takes the values of images as they are.
        views: of each image; features have one, which is the sample.
        batch_size: samples, not views, in a batch.
        rank: this process among those that score together; it has the samples rank, rank + world, …
        world: how many they are.
        on_bad_sample: whether a bad sample ends it or is left out.
        skipped: called with what is wrong with a sample that is left out.
        threads: that read samples.
        rule: how masks become labels, where the dataset has them; then images are scored whole, in tiles.

    Raises:
        BadDataError: a sample is bad, and that is fatal.
        NetspecError: dataset and network do not fit together, or grain is not installed.
    """
    rule = replace(rule, weights=None) if rule else None  # scores weigh all pixels alike
    reader = open_reader(dataset, Reading(input_shape, preprocessing, on_bad_sample, rule=rule))
    own = np.arange(len(dataset))[rank::world]
    threads = threads or available_threads()
    if isinstance(reader, MaskedImageReader):
        yield from _tiles(reader, own, batch_size, threads, skipped)
    else:
        yield from _views(reader, dataset.labels, own, views, batch_size, threads, skipped)


def _views(
    reader: Reader,
    labels: NDArray[np.int64],
    own: NDArray[np.int64],
    views: Views,
    batch_size: int,
    threads: int,
    skipped: Callable[[str], None],
) -> Generator[EvaluationBatch]:
    """Samples, so many at a time, in each view."""

    def read(number: int) -> tuple[EvaluationBatch, tuple[str, ...]]:
        indices = own[number * batch_size : (number + 1) * batch_size]
        samples = reader.read(indices, threads, _see(views), (views,))
        good = indices[samples.good]
        seen = labels[good] if samples.labels is None else samples.labels
        return EvaluationBatch(samples.inputs, seen, good), samples.bad

    with closing(ahead(read, 0, -(-len(own) // batch_size))) as found:
        for batch, bad in found:
            for message in bad:
                skipped(message)
            if len(batch.labels):
                yield batch


def _tiles(
    reader: MaskedImageReader, own: NDArray[np.int64], batch_size: int, threads: int, skipped: Callable[[str], None]
) -> Generator[EvaluationBatch]:
    """Images with masks, whole: the tiles of a few at a time, in batches of this many."""

    def read(number: int) -> Samples:
        return reader.read_tiles(own[number * TILED : (number + 1) * TILED], threads)

    with closing(ahead(read, 0, -(-len(own) // TILED))) as found:
        for number, tiles in enumerate(found):
            for message in tiles.bad:
                skipped(message)
            for start in range(0, len(tiles.good), batch_size):
                part = slice(start, start + batch_size)
                assert tiles.labels is not None  # noqa: S101 # where there are tiles, there are labels
                firsts = tiles.good[part]
                indices = own[number * TILED + firsts[firsts >= 0]]
                yield EvaluationBatch(tiles.inputs[part][:, None], tiles.labels[part], indices)


def _see(views: Views) -> Cut:
    """What puts the views of an image where they are to stand."""

    def see(target: Pixels, image: Pixels, position: int, /, *, nearest: bool = False) -> None:
        del position, nearest
        target[...] = evaluation_views(image, target.shape[1], target.shape[2], views)

    return see
