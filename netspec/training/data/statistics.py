"""What the training set's pixels are like: their mean, and the principal components that color noise follows."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from netspec.errors import NetspecError
from netspec.files import write_whole
from netspec.graph import Preprocessing
from netspec.preprocessing import center
from netspec.training.data.dataset import BadSampleError, Dataset, evenly
from netspec.training.data.fingerprint import fingerprint
from netspec.training.data.images import read_image
from netspec.training.data.parallel import available_threads, in_threads

MOST_IMAGES = 100_000
CHUNK = 64  # images that a thread sums up before it hands over
VERSION = "1"  # of what is computed, in the cache's key
# What a cache that is cut short, overwritten or another program's makes NumPy raise.
DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, NotImplementedError)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Components:
    """The principal components of a set's pixel values, channels in the network's order.

    Attributes:
        mean: Shape: (C,). Units: pixel values, 0 to 255.
        values: variances along the components, falling. Shape: (C,). Units: squared pixel values.
        vectors: the components, a column each; the largest entry of each is positive. Shape: (C, C).
    """

    mean: Floats
    values: Floats
    vectors: Floats

    @cached_property
    def deviations(self) -> Floats:
        """Each component times its standard deviation. Shape: (C, C)."""
        return self.vectors * np.sqrt(self.values)


@dataclass(frozen=True)
class Statistics:
    """Of the centers that the network sees of a training set's images, channels in the network's order.

    Attributes:
        mean_channel: Shape: (C,). Units: pixel values, 0 to 255.
        mean_image: Shape: (C, H, W).
        components: of the pixel values.
    """

    mean_channel: Floats
    mean_image: Floats
    components: Components


@dataclass(frozen=True)
class _Sums:
    """Integers, and so exact: neither threads nor order change them.

    Attributes:
        images: how many.
        pixels: their sum. Shape: (H, W, C).
        products: the sum of the products of channels, over pixels and images. Shape: (C, C).
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
    progress: Callable[[str], None] = lambda _: None,
) -> Statistics:
    """The statistics of a training set's images, computed once and kept in ~/.cache/netspec/statistics.

    Of a larger set, 100,000 images spread evenly over it are read. An image that cannot be used is passed over: it
    is reported when it comes up in a batch.

    Args:
        dataset: images.
        preprocessing: how they are resized, and the order of the channels.
        height: of the network's input.
        width: likewise.
        progress: called with what is done, now and then.

    Raises:
        NetspecError: no image of the set can be used.
    """
    cached = _cache_file(dataset, preprocessing, height, width)
    found = cached and _load(cached, (preprocessing.channels, height, width))
    if found:
        return found
    statistics = _statistics(_sum_images(dataset, preprocessing, height, width, progress))
    if cached:
        with suppress(NetspecError):  # a folder that cannot be written costs the time again, and nothing else
            _save(cached, statistics)
    return statistics


def _sum_images(
    dataset: Dataset, preprocessing: Preprocessing, height: int, width: int, progress: Callable[[str], None]
) -> _Sums:
    indices = evenly(dataset, MOST_IMAGES)
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
    """Where the statistics are kept; None where there is no home."""
    root = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not root.is_absolute():  # as the XDG specification has it
        try:
            root = Path.home() / ".cache"
        except RuntimeError:
            return None
    said = f"{preprocessing.resize_shorter_side} {preprocessing.channel_order} {height} {width}"
    return root / "netspec" / "statistics" / f"{fingerprint(VERSION, dataset.fingerprint, said)}.npz"


def _save(path: Path, statistics: Statistics) -> None:
    arrays = {name: getattr(statistics.components, name) for name in _names(Components)}
    write_whole(path, lambda temporary: np.savez(temporary, mean_image=statistics.mean_image, **arrays))


def _load(path: Path, shape: tuple[int, int, int]) -> Statistics | None:
    """What is kept; None where there is nothing, or nothing whole."""
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
    image = arrays.pop("mean_image")
    return Statistics(arrays["mean"], image, Components(**arrays))


def _names(kind: type) -> list[str]:
    return [field.name for field in fields(kind)]
