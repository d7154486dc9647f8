"""Statistics of the training set's pixels: their mean, and their principal components, used for color noise."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from netspec.errors import NetspecError
from netspec.files import write_whole
from netspec.graph import Preprocessing
from netspec.preprocessing import center
from netspec.progress import Progress, silent
from netspec.training.data.dataset import BadSampleError, Dataset, spread_indices
from netspec.training.data.fingerprint import fingerprint
from netspec.training.data.images import read_image
from netspec.training.data.parallel import available_threads, in_threads

MOST_IMAGES = 100_000
CHUNK = 64  # images summed by one task of a thread
VERSION = "1"  # part of the cache key: increase it when the computation changes
# Raised by NumPy for a cache file that is truncated, damaged, or written by another program.
DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, NotImplementedError)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Components:
    """The principal components of the pixel values of a dataset, channels in the network's order.

    Attributes:
        mean: the mean of each channel. Shape: (C,). Units: pixel values, 0 to 255.
        values: variances along the components, in descending order. Shape: (C,). Units: squared pixel values.
        vectors: the components, as columns; the entry of largest magnitude in each is positive. Shape: (C, C).
    """

    mean: Floats
    values: Floats
    vectors: Floats

    @cached_property
    def deviations(self) -> Floats:
        """The components, as columns, scaled by their standard deviations. Shape: (C, C)."""
        return self.vectors * np.sqrt(self.values)


@dataclass(frozen=True)
class Statistics:
    """Statistics of the centre crops of a training set's images, channels in the network's order.

    Attributes:
        mean_channel: the mean of each channel. Shape: (C,). Units: pixel values, 0 to 255.
        mean_image: the mean of each pixel. Shape: (C, H, W). Units: pixel values, 0 to 255.
        components: the principal components of the pixel values.
    """

    mean_channel: Floats
    mean_image: Floats
    components: Components


@dataclass(frozen=True)
class _Sums:
    """Sums over images. They are integers, and so do not depend on the number of threads or the order.

    Attributes:
        images: number of images.
        pixels: sum of the images. Shape: (H, W, C).
        products: sum of the products of each two channels, over pixels and images. Shape: (C, C).
    """

    images: int
    pixels: NDArray[np.int64]
    products: NDArray[np.int64]

    def __add__(self, other: _Sums) -> _Sums:
        return _Sums(self.images + other.images, self.pixels + other.pixels, self.products + other.products)


def statistics_of(
    dataset: Dataset,
    preprocessing: Preprocessing,
    height: int,
    width: int,
    progress: Progress = silent,
) -> Statistics:
    """Return the statistics of a training set's images, cached in ~/.cache/netspec/statistics.

    At most 100,000 images, spread evenly over the dataset, are read. Images that cannot be used are ignored here and
    reported when they occur in a batch.

    Args:
        dataset: a dataset of images.
        preprocessing: determines how images are resized, and the order of the channels.
        height: the height of the network's input.
        width: the width of the network's input.
        progress: called with progress messages.

    Raises:
        NetspecError: no image of the dataset can be used.
    """
    cache = _cache_file(dataset, preprocessing, height, width)
    cached = cache and _load(cache, (preprocessing.channels, height, width))
    if cached:
        return cached
    statistics = _statistics(_sum_images(dataset, preprocessing, height, width, progress))
    if cache:
        with suppress(NetspecError):  # without a writable cache, they are computed again the next time
            _save(cache, statistics)
    return statistics


def _sum_images(dataset: Dataset, preprocessing: Preprocessing, height: int, width: int, progress: Progress) -> _Sums:
    indices = spread_indices(dataset, MOST_IMAGES)
    total = len(indices)

    def sum_chunk(chunk: NDArray[np.int64]) -> _Sums:
        shape = (height, width, preprocessing.channels)
        images, pixels, products = 0, np.zeros(shape, np.int64), np.zeros(2 * shape[-1:], np.int64)
        for image in _centers(dataset, chunk, preprocessing, height, width):
            values = image.reshape(-1, shape[-1]).astype(np.float64)
            images += 1
            pixels += image
            products += (values.T @ values).astype(np.int64)  # exact: far below 2 ** 53
        return _Sums(images, pixels, products)

    chunks = [indices[start : start + CHUNK] for start in range(0, total, CHUNK)]
    done, sums = 0, None
    for chunk, part in zip(chunks, in_threads(sum_chunk, chunks, available_threads()), strict=True):
        done, sums = done + len(chunk), part if sums is None else sums + part
        progress(f"statistics of {dataset.origin}: {done:,} of {total:,} images")
    if sums is None or not sums.images:
        raise NetspecError(f"{dataset.origin}: none of {total:,} images can be used: their mean is not known")
    return sums


def _centers(
    dataset: Dataset, indices: NDArray[np.int64], preprocessing: Preprocessing, height: int, width: int
) -> Iterator[NDArray[np.uint8]]:
    for index in indices:
        with suppress(BadSampleError):
            yield center(read_image(dataset, int(index), preprocessing, (height, width)), height, width)


def _statistics(sums: _Sums) -> Statistics:
    height, width, channels = sums.pixels.shape
    count = sums.images * height * width
    mean = sums.pixels.sum(axis=(0, 1)) / count
    covariance = sums.products / count - np.outer(mean, mean)
    values, vectors = np.linalg.eigh(covariance)
    values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
    largest = vectors[np.abs(vectors).argmax(axis=0), np.arange(channels)]
    components = Components(mean, values, vectors * np.where(largest < 0, -1.0, 1.0))
    return Statistics(mean, sums.pixels.transpose(2, 0, 1) / sums.images, components)


def _cache_file(dataset: Dataset, preprocessing: Preprocessing, height: int, width: int) -> Path | None:
    """Return the cache file of the statistics, or None if there is no home folder."""
    root = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not root.is_absolute():  # the XDG specification says to ignore relative paths
        try:
            root = Path.home() / ".cache"
        except RuntimeError:
            return None
    settings = f"{preprocessing.resize_shorter_side} {preprocessing.channel_order} {height} {width}"
    return root / "netspec" / "statistics" / f"{fingerprint(VERSION, dataset.fingerprint, settings)}.npz"


def _save(path: Path, statistics: Statistics) -> None:
    arrays = asdict(statistics.components)
    write_whole(path, lambda temporary: np.savez(temporary, mean_image=statistics.mean_image, **arrays))


def _load(path: Path, shape: tuple[int, int, int]) -> Statistics | None:
    """Return the cached statistics, or None if there are none or the file is damaged."""
    channels = shape[:1]
    shapes = {"mean_image": shape, "mean": channels, "values": channels, "vectors": 2 * channels}
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:
                return None
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: np.asarray(file[name], np.float64) for name in shapes}
    except DAMAGED:
        return None
    if any(arrays[name].shape != shapes[name] or not np.isfinite(arrays[name]).all() for name in shapes):
        return None
    mean_image = arrays.pop("mean_image")
    return Statistics(arrays["mean"], mean_image, Components(**arrays))
