"""The input pipeline: from JPEGs to batches with all augmentation, against decoding alone.

JPEGs of 256 pixels are cropped to 224, flipped and color-shifted, in batches of 128. The peer decodes the same images
with the same number of threads and drops them. The 512 images are generated; NETSPEC_BENCH_DATA can name other JPEGs,
as `netspec train --data` does.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from io import BytesIO

import numpy as np
import simplejpeg
from PIL import Image

from netspec.graph import Preprocessing
from netspec.ops.attributes import both
from netspec.recipe import Augmentation, ColorNoise, Recipe, Sgd
from netspec.training.data.batches import Batches
from netspec.training.data.dataset import Dataset
from netspec.training.data.parallel import available_threads
from netspec.training.data.sources import open_data
from netspec.training.data.statistics import Components

SIDE, CROP, BATCH = 256, 224, 128
STEPS = 16  # batches in each measurement
PIECES = 4  # pieces of a batch per thread, in the peer as in the pipeline
COMPONENTS = Components(np.full(3, 120.0), np.array([10_000.0, 1_000.0, 100.0]), np.eye(3))
RECIPE = Recipe(
    batch_size=BATCH,
    epochs=1,
    optimizer=Sgd(name="sgd", learning_rate=0.01),
    augmentation=Augmentation(random_crop=both(CROP), horizontal_flip=True, color_noise=ColorNoise(std=0.1)),
)


class GeneratedJpegs(Dataset):
    """Smooth random colors with noise, which take about as many bytes and as much time as photographs of that size."""

    def __init__(self, length: int = 512) -> None:
        self.origin, self.classes, self.fingerprint = "generated JPEGs", ("one",), "generated"
        self.labels = np.zeros(length, np.int64)
        random = np.random.default_rng(0)
        self._encoded = [self._encode(random) for _ in range(length)]

    @staticmethod
    def _encode(random: np.random.Generator) -> bytes:
        colors = Image.fromarray(random.integers(0, 256, (12, 12, 3), dtype=np.uint8))
        smooth = np.asarray(colors.resize((SIDE, SIDE), Image.Resampling.BICUBIC), np.int16)
        pixels = (smooth + random.integers(-12, 13, smooth.shape)).clip(0, 255).astype(np.uint8)
        buffer = BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
        return buffer.getvalue()

    def read(self, index: int) -> bytes:
        return self._encoded[index]

    def describe(self, index: int) -> str:
        return f"generated JPEG {index}"


def netspec_pipeline() -> Callable[[], None]:
    """Read the batches of a run, as training does."""
    preprocessing = Preprocessing(resize_shorter_side=SIDE)
    batches = Batches(_dataset(), (3, CROP, CROP), preprocessing, RECIPE, COMPONENTS)
    threads = available_threads()

    def stream() -> None:
        with closing(batches.stream(0, STEPS, threads=threads)) as iterator:
            deque(iterator, maxlen=0)

    return stream


def decoding() -> Callable[[], None]:
    """Decode as many images, and drop them."""
    dataset, threads = _dataset(), available_threads()
    encoded = [dataset.read(index % len(dataset)) for index in range(STEPS * BATCH)]
    size = BATCH // (PIECES * threads)
    pieces = [encoded[start : start + size] for start in range(0, len(encoded), size)]
    pool = ThreadPoolExecutor(threads)

    def decode_piece(piece: list[bytes]) -> None:
        for data in piece:
            simplejpeg.decode_jpeg(data)

    def decode() -> None:
        deque(pool.map(decode_piece, pieces), maxlen=0)

    return decode


def _dataset() -> Dataset:
    data = os.environ.get("NETSPEC_BENCH_DATA")
    return open_data(data).training if data else GeneratedJpegs()
