"""Samples read in parallel into the arrays of a batch, and the error when one of them is bad."""

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
from netspec.training.data.findings import LISTED, BadDataError, OnBadSample, listed
from netspec.training.data.images import Scratch, image_size, read_image
from netspec.training.data.mask_folders import read_mask
from netspec.training.data.parallel import AHEAD, in_threads, pieces
from netspec.training.data.targets import MapRule, Targets
from netspec.words import counted

PATIENCE = 60.0  # seconds; a set that is read for longer just to list what else is bad would look like a hang
CHECKED_AT_ONCE = 32


class Cut(Protocol):
    """Puts what is seen of an image, or by the nearest pixels of its mask, at this position, into an array."""

    def __call__(self, target: Pixels, image: Pixels, position: int, /, *, nearest: bool = False) -> None:
        """Fill the array."""


Put = Callable[[Pixels, int, int], None]  # into an array for the sample: the index of it, at this position


@dataclass(frozen=True, slots=True)
class Samples:
    """What was read of the samples that were asked for.

    Attributes:
        inputs: of the good ones, in the order in which they were asked for. Shape: (n, …).
        good: their positions among those asked for. Shape: (n,).
        bad: what is wrong with the others.
        labels: of the pixels of the good ones, where the set has masks. Shape: (n, H, W).
        weights: of the pixels, where a rule of masks has them. Shape: (n, H, W).
    """

    inputs: NDArray[Any]
    good: NDArray[np.int64]
    bad: tuple[str, ...] = ()
    labels: NDArray[np.int64] | None = None
    weights: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """How samples become inputs of a network.

    Attributes:
        shape: of the network's input.
        preprocessing: of the network; None takes the values of images as they are.
        on_bad_sample: what a bad one is.
        whole: whether crops are cut from images of their own size, not from resized ones.
        rule: how masks become labels, where the samples have them.
    """

    shape: tuple[int, ...]
    preprocessing: Preprocessing | None = None
    on_bad_sample: OnBadSample = "fatal"
    whole: bool = False
    rule: MapRule | None = None


class Memory:
    """Arrays in memory that is used again: the kernel clears fresh memory first, which costs a tenth of decoding."""

    def __init__(self) -> None:
        self._free: deque[NDArray[np.uint8]] = deque(maxlen=AHEAD + 1)

    def __reduce__(self) -> tuple[type[Memory], tuple[()]]:
        return Memory, ()

    def array(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """An array, not initialized. Its memory is lent again when nobody holds it or a view of it."""
        size = math.prod(shape)
        try:
            memory = self._free.pop()
        except IndexError:
            memory = np.empty(0, np.uint8)
        if memory.size < size:
            memory = np.empty(size, np.uint8)
        # A view holds on to the array that it is of, past views in between: with a buffer between, to `lent` alone.
        lent = np.frombuffer(memory.data, np.uint8, size)
        weakref.finalize(lent, self._free.append, memory).atexit = False
        return lent.reshape(shape)


class Reader(ABC):
    """Reads samples of a dataset for a network's input, several at once."""

    def __init__(self, dataset: Dataset, how: Reading) -> None:
        self.dataset, self.how = dataset, how

    @abstractmethod
    def read(self, indices: NDArray[np.int64], threads: int, cut: Cut, views: tuple[int, ...] = ()) -> Samples:
        """Samples as inputs; a bad one is left out.

        Args:
            indices: of the samples.
            threads: that read them.
            cut: puts what the network is to see of an image in its place; called in several threads.
            views: axes between that of samples and those of an image.

        Raises:
            BadDataError: one is bad, and that is fatal; the message lists others too.
        """

    @abstractmethod
    def check(self, index: int) -> None:
        """Read a sample for nothing.

        Raises:
            BadSampleError: it is bad.
        """

    def _good(self, count: int, bad: dict[int, str], threads: int) -> NDArray[np.int64]:
        """The positions of `count` samples that are not bad; bad ones are fatal, if that is asked for."""
        if bad and self.how.on_bad_sample == "fatal":
            raise self._all_bad(in_order(bad), threads)
        return np.delete(np.arange(count), list(bad))

    def _all_bad(self, known: Sequence[str], threads: int) -> BadDataError:
        """The error for bad samples of which some are known: the set is searched for more, for a minute at most."""
        found, checked, until = dict.fromkeys(known), 0, time.monotonic() + PATIENCE
        total = len(self.dataset)
        chunks = [range(start, min(start + CHECKED_AT_ONCE, total)) for start in range(0, total, CHECKED_AT_ONCE)]
        for chunk, messages in zip(chunks, in_threads(self._check_all, chunks, threads), strict=False):
            found.update(dict.fromkeys(messages))
            checked += len(chunk)
            if len(found) >= LISTED or time.monotonic() > until:
                break
        extent = f"{total:,} checked" if checked == total else f"{checked:,} of {total:,} checked"
        hint = "repair them, or go on without them: --on-bad-sample skip"
        return BadDataError(
            f"{counted(len(found), 'bad sample')} in {self.dataset.origin} ({extent}):\n{listed(list(found))}", hint
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
        NetspecError: the input takes no images.
    """

    def __init__(self, dataset: Dataset, how: Reading) -> None:
        super().__init__(dataset, how)
        self._preprocessing, self.height, self.width = image_size(how.shape, how.preprocessing)
        self._memory, self._scratch = Memory(), Scratch()

    def read(self, indices: NDArray[np.int64], threads: int, cut: Cut, views: tuple[int, ...] = ()) -> Samples:
        """Images, uint8. Shape of the inputs: (n, *views, H, W, C)."""

        def put(target: Pixels, index: int, position: int) -> None:
            cut(target, self._image(index), position)

        return self._filled(indices, threads, put, views)

    def _filled(self, indices: NDArray[np.int64], threads: int, put: Put, views: tuple[int, ...]) -> Samples:
        """The arrays of samples, each put where it is to stand, in several threads."""
        inputs = self._memory.array((len(indices), *views, self.height, self.width, self.how.shape[0]))

        def fill(positions: range) -> dict[int, str]:
            bad = {}
            for position in positions:
                try:
                    put(inputs[position], int(indices[position]), position)
                except BadSampleError as error:
                    bad[position] = error.message
            return bad

        filled = in_threads(fill, pieces(len(indices), threads), threads)
        bad = {position: text for found in filled for position, text in found.items()}
        good = self._good(len(indices), bad, threads)
        return Samples(inputs[good] if bad else inputs, good, in_order(bad))

    def check(self, index: int) -> None:
        """Decode an image."""
        self._image(index)

    def _image(self, index: int) -> Pixels:
        crop = None if self.how.whole else (self.height, self.width)
        return read_image(self.dataset, index, self._preprocessing, crop, self._scratch)


class FeatureReader(Reader):
    """Reads features, which are in memory: one after the other, and as they are.

    Raises:
        NetspecError: the first does not fit the input; then the others will not either.
    """

    def __init__(self, dataset: Dataset, how: Reading) -> None:
        super().__init__(dataset, how)
        first = np.shape(dataset.read(0))
        if first != how.shape:
            hint = (
                "floating-point arrays are taken as they are, (C, H, W); images, which are resized, are uint8, 0 to 255"
            )
            raise NetspecError(
                f"{dataset.origin}: features of {first} do not fit the network's input of {how.shape}",
                hint if len(first) == 3 else "",
            )

    def read(self, indices: NDArray[np.int64], threads: int, cut: Cut, views: tuple[int, ...] = ()) -> Samples:
        """Arrays. Shape of the inputs: (n, …)."""
        rows: list[NDArray[Any]] = []
        bad: dict[int, str] = {}
        shape, rule = self.how.shape, self.how.rule
        targets = Targets(rule, len(indices)) if rule else None
        for position, index in enumerate(indices):
            try:
                features = self._features(int(index))
                if targets and rule:
                    targets.fill(position, read_mask(self.dataset, int(index), shape[1:], rule.classes))
                rows.append(features)
            except BadSampleError as error:
                bad[position] = error.message
        good = self._good(len(indices), bad, threads)
        inputs = np.stack(rows) if rows else np.empty((0, *shape), np.float32)
        return Samples(inputs, good, in_order(bad), *(targets.of(good) if targets else ()))

    def check(self, index: int) -> None:
        """Read an array."""
        self._features(index)

    def _features(self, index: int) -> NDArray[Any]:
        features = np.asarray(self.dataset.read(index))
        if features.shape != self.how.shape:
            received = f"expected features of {self.how.shape}, received {features.shape}"
            raise BadSampleError(f"{self.dataset.describe(index)}: {received}")
        return features


def in_order(bad: Mapping[int, str]) -> tuple[str, ...]:
    """What is wrong with samples, in the order in which they were asked for."""
    return tuple(bad[position] for position in sorted(bad))
