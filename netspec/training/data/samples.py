"""Read samples in parallel into the arrays of a batch, and report the bad ones."""

from __future__ import annotations

import math
import time
import weakref
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from netspec.errors import NetspecError
from netspec.graph import Preprocessing
from netspec.preprocessing import Pixels
from netspec.training.data.dataset import BadSampleError, Dataset
from netspec.training.data.findings import BadDataError, OnBadSample
from netspec.training.data.images import Scratch, image_size, read_image
from netspec.training.data.mask_folders import read_mask
from netspec.training.data.parallel import AHEAD, in_threads, split_range
from netspec.training.data.targets import MapRule, Targets
from netspec.words import LISTED, counted, indented

PATIENCE = 60.0  # seconds; searching longer for further bad samples, only to list them, would look like a hang
CHECKED_AT_ONCE = 32


class Cut(Protocol):
    """Writes the crop or the views of an image, or of its mask, into the array of a batch."""

    def __call__(self, target: Pixels, image: Pixels, position: int, /, *, nearest: bool = False) -> None:
        """Fill `target` from `image`, the sample at `position` of the batch; resample a mask by `nearest` pixel."""

    def mirrors(self, position: int, /) -> bool:
        """Whether the sample at `position` is mirrored. It is then read in the layout that is mirrored fastest."""


FillSample = Callable[[Pixels, int, int], None]  # (target array, index in the dataset, position in the batch)


@dataclass(frozen=True, slots=True)
class Samples:
    """The result of reading a list of samples; n of them are good.

    Attributes:
        inputs: the good samples, in the requested order. Shape: (n, …).
        good: the positions of the good samples in the request. Shape: (n,).
        bad: a message for each bad sample.
        labels: per-pixel labels, if the dataset has masks. Shape: (n, H, W).
        weights: per-pixel loss weights, if the `MapRule` defines them. Shape: (n, H, W).
    """

    inputs: NDArray[Any]
    good: NDArray[np.int64]
    bad: tuple[str, ...] = ()
    labels: NDArray[np.int64] | None = None
    weights: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How samples are converted to inputs of a network.

    Attributes:
        shape: the shape of the network's input, without the batch.
        preprocessing: that of the network; None leaves pixel values unchanged.
        on_bad_sample: whether a bad sample is an error or is skipped.
        full_size: whether crops are cut from the original image instead of the resized one.
        rule: how masks are converted to labels, if the samples have masks.
    """

    shape: tuple[int, ...]
    preprocessing: Preprocessing | None = None
    on_bad_sample: OnBadSample = "fatal"
    full_size: bool = False
    rule: MapRule | None = None


class Memory:
    """A pool of reusable buffers. The kernel zeroes fresh memory, which takes a tenth of the time of decoding."""

    def __init__(self) -> None:
        self._free: deque[NDArray[np.uint8]] = deque(maxlen=AHEAD + 1)

    def __reduce__(self) -> tuple[type[Memory], tuple[()]]:
        return Memory, ()

    def array(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """Return an uninitialized array. Its buffer returns to the pool once no view of the array is left."""
        size = math.prod(shape)
        try:
            memory = self._free.pop()
        except IndexError:
            memory = np.empty(0, np.uint8)
        if memory.size < size:
            memory = np.empty(size, np.uint8)
        # The base of a view of a view is the array that owns the memory. `frombuffer` breaks this chain, so that the
        # base of all views handed out is `lent`, which is finalized with the last of them.
        lent = np.frombuffer(memory.data, np.uint8, size)
        weakref.finalize(lent, self._free.append, memory).atexit = False
        return lent.reshape(shape)


class Reader(ABC):
    """Reads samples of a dataset into inputs of a network, several at a time."""

    def __init__(self, dataset: Dataset, options: ReadOptions) -> None:
        self.dataset, self.options = dataset, options

    @abstractmethod
    def read(self, indices: NDArray[np.int64], threads: int, cut: Cut, views: tuple[int, ...] = ()) -> Samples:
        """Read samples; bad ones are left out.

        Args:
            indices: the indices of the samples in the dataset.
            threads: number of threads.
            cut: writes the crop or the views of an image into its array; called from several threads.
            views: extra axes of `inputs` between the sample axis and the image axes.

        Raises:
            BadDataError: a sample is bad and bad samples are fatal. The message also lists other bad samples.
        """

    @abstractmethod
    def check(self, index: int) -> None:
        """Read a sample and discard it.

        Raises:
            BadSampleError: the sample is bad.
        """

    def _good_positions(self, count: int, bad: dict[int, str], threads: int) -> NDArray[np.int64]:
        """Return the positions below `count` that are not `bad`; raise BadDataError if bad samples are fatal."""
        if bad and self.options.on_bad_sample == "fatal":
            raise self._bad_data_error(messages_in_order(bad), threads)
        return np.delete(np.arange(count), list(bad))

    def _bad_data_error(self, known: Sequence[str], threads: int) -> BadDataError:
        """Return the error for the known bad samples and others, searched for in the dataset for up to a minute."""
        messages, checked, deadline = dict.fromkeys(known), 0, time.monotonic() + PATIENCE
        total = len(self.dataset)
        chunks = [range(start, min(start + CHECKED_AT_ONCE, total)) for start in range(0, total, CHECKED_AT_ONCE)]
        for chunk, new in zip(chunks, in_threads(self._check_all, chunks, threads), strict=False):
            messages.update(dict.fromkeys(new))
            checked += len(chunk)
            if len(messages) >= LISTED or time.monotonic() > deadline:
                break
        extent = f"{total:,} checked" if checked == total else f"{checked:,} of {total:,} checked"
        hint = "repair them, or go on without them: --on-bad-sample skip"
        return BadDataError(
            f"{counted(len(messages), 'bad sample')} in {self.dataset.origin} ({extent}):\n{indented(messages)}",
            hint,
        )

    def _check_all(self, indices: range) -> list[str]:
        messages = []
        for index in indices:
            try:
                self.check(index)
            except BadSampleError as error:
                messages.append(error.message)
        return messages


class ImageReader(Reader):
    """Reads images.

    Raises:
        NetspecError: the shape of the network's input is not that of an image.
    """

    def __init__(self, dataset: Dataset, options: ReadOptions) -> None:
        super().__init__(dataset, options)
        self._preprocessing, self.height, self.width = image_size(options.shape, options.preprocessing)
        self._memory, self._scratch = Memory(), Scratch()

    def read(self, indices: NDArray[np.int64], threads: int, cut: Cut, views: tuple[int, ...] = ()) -> Samples:
        """Read uint8 images. Shape of the inputs: (n, *views, H, W, C)."""

        def fill_sample(target: Pixels, index: int, position: int) -> None:
            cut(target, self._image(index, mirrored=cut.mirrors(position)), position)

        return self._read_each(indices, threads, fill_sample, views)

    def _read_each(
        self, indices: NDArray[np.int64], threads: int, fill_sample: FillSample, views: tuple[int, ...]
    ) -> Samples:
        """Allocate the inputs and call `fill_sample` for each sample, in several threads."""
        inputs = self._memory.array((len(indices), *views, self.height, self.width, self.options.shape[0]))

        def fill(positions: range) -> dict[int, str]:
            bad = {}
            for position in positions:
                try:
                    fill_sample(inputs[position], int(indices[position]), position)
                except BadSampleError as error:
                    bad[position] = error.message
            return bad

        bad: dict[int, str] = {}
        for messages in in_threads(fill, split_range(len(indices), threads), threads):
            bad.update(messages)
        good = self._good_positions(len(indices), bad, threads)
        return Samples(inputs[good] if bad else inputs, good, messages_in_order(bad))

    def check(self, index: int) -> None:
        """Decode the image."""
        self._image(index)

    def _image(self, index: int, *, mirrored: bool = False) -> Pixels:
        crop = None if self.options.full_size else (self.height, self.width)
        return read_image(self.dataset, index, self._preprocessing, crop, self._scratch, mirrored=mirrored)


class FeatureReader(Reader):
    """Reads features unchanged and in one thread, since they are in memory.

    Raises:
        NetspecError: the shape of the first sample is not that of the network's input.
    """

    def __init__(self, dataset: Dataset, options: ReadOptions) -> None:
        super().__init__(dataset, options)
        first = np.shape(dataset.read(0))
        if first != options.shape:
            hint = (
                "floating-point arrays are taken as they are, (C, H, W); images, which are resized, are uint8, 0 to 255"
            )
            raise NetspecError(
                f"{dataset.origin}: features of {first} do not fit the network's input of {options.shape}",
                hint if len(first) == 3 else "",
            )

    def read(self, indices: NDArray[np.int64], threads: int, cut: Cut, views: tuple[int, ...] = ()) -> Samples:
        """Read arrays of features. Shape of the inputs: (n, …)."""
        rows: list[NDArray[Any]] = []
        bad: dict[int, str] = {}
        shape, rule = self.options.shape, self.options.rule
        targets = Targets(rule, len(indices)) if rule else None
        for position, index in enumerate(indices):
            try:
                features = self._features(int(index))
                if targets and rule:
                    targets.fill(position, read_mask(self.dataset, int(index), shape[1:], rule.classes))
                rows.append(features)
            except BadSampleError as error:
                bad[position] = error.message
        good = self._good_positions(len(indices), bad, threads)
        inputs = np.stack(rows) if rows else np.empty((0, *shape), np.float32)
        return Samples(inputs, good, messages_in_order(bad), *(targets.of(good) if targets else ()))

    def check(self, index: int) -> None:
        """Read the array."""
        self._features(index)

    def _features(self, index: int) -> NDArray[Any]:
        features = np.asarray(self.dataset.read(index))
        if features.shape != self.options.shape:
            received = f"expected features of {self.options.shape}, received {features.shape}"
            raise BadSampleError(f"{self.dataset.describe(index)}: {received}")
        return features


def messages_in_order(bad: Mapping[int, str]) -> tuple[str, ...]:
    """Return the messages of bad samples, sorted by position."""
    return tuple(bad[position] for position in sorted(bad))
