"""Samples of a step mixed with one another, after all else that is done to them: Mixup and CutMix.

How sample i is mixed in epoch e is drawn from (seed, e, i) alone. Its partner is the sample half a step further on in
the epoch's order, which is random already: how a step is cut into batches and processes does not matter, and where the
number of processes divides half a step, one process has both. A sample stays as it is where it is alone in its step, or
its partner is bad and skipped.

The papers draw a share for each sample. Their code draws one for all that a device has of a batch, which depends on the
number of devices.

Sources: Zhang et al. 2018, section 2; Yun et al. 2019, section 3.1.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netspec.lowering import Batch
from netspec.recipe import Augmentation
from netspec.training.data.augment.streams import stream_of_each
from netspec.training.data.parallel import in_threads, pieces
from netspec.training.data.samples import Memory


@dataclass(frozen=True, slots=True)
class Mixes:
    """How samples of a step are mixed, a row for each.

    Attributes:
        rows: their places in the step. Shape: (n,).
        partners: the places of what each is mixed with. Shape: (n,).
        shares: of the sample itself, by pixels or by value; 1 where it stays as it is. Shape: (n,). Units: 0 to 1.
        boxes: what is pasted from the partner's image: begin and end of the rows, then of the columns; without any, the
            values are mixed. Shape: (n, 2, 2). Units: pixels.
        blends: whether values may be mixed, so that those of images are no whole numbers.
    """

    rows: NDArray[np.int64]
    partners: NDArray[np.int64]
    shares: NDArray[np.float64]
    boxes: NDArray[np.int64]
    blends: bool

    @property
    def needed(self) -> NDArray[np.int64]:
        """The places of all samples that have to be read: these, then partners that are not among them."""
        others = np.setdiff1d(self.partners[self.shares < 1], self.rows)
        return np.concatenate([self.rows, others])


def draw_mixes(
    seed: int,
    epoch: int,
    indices: NDArray[np.int64],
    rows: NDArray[np.int64],
    augmentation: Augmentation,
    image: tuple[int, int] | None,
) -> Mixes | None:
    """How samples of a step are mixed; None where a recipe mixes nothing.

    Args:
        seed: of the recipe.
        epoch: from 0.
        indices: of all samples of the step in their dataset, in the step's order.
        rows: which of them are wanted.
        augmentation: what is drawn.
        image: height and width of what the network sees; None for features, which are not pasted.
    """
    likely = augmentation.mixes
    if not any(likely):
        return None
    alphas = [own.alpha if own else 1.0 for own in (augmentation.mixup, augmentation.cutmix)]
    partners = (rows + len(indices) // 2) % max(1, len(indices))
    uniform, shares, pasted = np.empty((len(rows), 3)), np.ones(len(rows)), np.zeros(len(rows), bool)
    for number, random in enumerate(stream_of_each(seed, "mix", epoch, indices[rows])):
        random.random(out=uniform[number])
        if uniform[number, 0] < sum(likely):
            kind = int(uniform[number, 0] >= likely[0])
            shares[number], pasted[number] = random.beta(alphas[kind], alphas[kind]), kind == 1
    shares[partners == rows] = 1.0
    boxes = np.zeros((len(rows), 2, 2), np.int64)
    if image is not None:
        boxes[pasted] = _boxes(shares[pasted], uniform[pasted, 1:], np.array(image))
        shares[pasted] = 1 - np.ptp(boxes[pasted], axis=2).prod(axis=1) / math.prod(image)
    return Mixes(rows, partners, shares, boxes, augmentation.mixup is not None)


def _boxes(shares: NDArray[np.float64], centres: NDArray[np.float64], image: NDArray[np.int64]) -> NDArray[np.int64]:
    """Boxes of an image's proportions that leave these shares of it, clipped to the image. Shape: (n, 2, 2)."""
    sides = np.rint(np.sqrt(1 - shares)[:, None] * image).astype(np.int64)
    starts = (centres * image).astype(np.int64) - sides // 2
    return np.stack([starts, starts + sides], axis=2).clip(0, image[:, None])


def mix(read: Batch, mixes: Mixes, threads: int, memory: Memory) -> Batch:
    """The samples that are wanted, mixed: their values, and what of their targets is whose.

    Normalization comes later and is affine: mixing pixels mixes what the network sees. Color noise is added here, for a
    box brings its own.

    Args:
        read: samples of the step, none of them mixed: those that are needed but for bad ones, which stay out.
        mixes: how.
        threads: that mix.
        memory: for the values.
    """
    places = np.full(1 + max([*mixes.rows, *mixes.partners], default=-1), -1)
    places[read.rows] = np.arange(len(read.rows))
    wanted = places[mixes.rows] >= 0
    own, others = places[mixes.rows[wanted]], places[mixes.partners[wanted]]
    shares = np.where(others < 0, 1.0, mixes.shares[wanted])
    values = _mixed(read, own, others, shares, mixes.boxes[wanted], mixes.blends, threads, memory)
    labels, partners = read.labels[own], read.labels[np.where(shares < 1, others, own)]
    smaller = shares < 1 / 2
    return Batch(
        values,
        np.where(smaller, partners, labels),
        read.rows[own],
        partners=np.where(smaller, labels, partners),
        shares=np.maximum(shares, 1 - shares),
    )


def _mixed(
    read: Batch,
    own: NDArray[np.int64],
    others: NDArray[np.int64],
    shares: NDArray[np.float64],
    boxes: NDArray[np.int64],
    blends: bool,
    threads: int,
    memory: Memory,
) -> NDArray[Any]:
    """The values of samples mixed with others, both by their places in what was read."""
    inputs, shape = read.inputs, read.inputs.shape[1:]
    whole = inputs.dtype if read.shifts is None and not blends else np.result_type(inputs.dtype, np.float32)
    mixed = memory.array((len(own), *shape[:-1], shape[-1] * whole.itemsize)).view(whole)
    # A row of an image is one axis here: NumPy takes an axis as short as that of colors in a hundred times as long.
    flat, channels = (shape[0], math.prod(shape[1:])), math.prod(shape[2:])
    sources, targets = inputs.reshape(len(inputs), *flat), mixed.reshape(len(mixed), *flat)
    noise = None if read.shifts is None else np.tile(read.shifts, shape[1])

    def put(target: NDArray[Any], sample: int, rows: slice = slice(None), columns: slice = slice(None)) -> None:
        if noise is None:
            target[rows, columns] = sources[sample, rows, columns]
        else:
            np.add(sources[sample, rows, columns], noise[sample, columns], out=target[rows, columns])

    def fill(numbers: range) -> None:
        for number in numbers:
            target, share, (rows, columns) = targets[number], float(shares[number]), boxes[number].tolist()
            put(target, own[number])
            if share == 1:
                continue
            if rows[1]:
                put(target, others[number], slice(*rows), slice(*(channels * column for column in columns)))
            else:
                other = np.empty_like(target)
                put(other, others[number])
                _blend(target, other, share)

    parts = pieces(len(own), threads)
    deque(map(fill, parts) if threads == 1 else in_threads(fill, parts, threads), maxlen=0)
    return mixed


def _blend(target: NDArray[Any], other: NDArray[Any], share: float) -> None:
    """The share of a target, and of the other what is left to 1, in the target; the other is used up."""
    target *= share
    other *= 1 - share
    target += other
