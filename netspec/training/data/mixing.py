"""Mixup and CutMix: mix the samples of a step with one another, after all other augmentation.

How sample i is mixed in epoch e depends only on (seed, e, i). Its partner is the sample half a step further on in the
epoch's order, which is already random. So the pairs do not depend on how a step is divided into batches and processes,
and if the number of processes divides half a step, both samples are read by the same process. A sample stays unmixed
if it is alone in its step, or if its partner is bad and skipped.

The papers draw a mixing ratio for each sample. Their code draws one for all samples that a device has of a batch, which
makes the result depend on the number of devices.

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
from netspec.training.data.parallel import in_threads, split_range
from netspec.training.data.samples import Memory


@dataclass(frozen=True, slots=True)
class Mixes:
    """How n samples of a step are mixed.

    Attributes:
        rows: the positions of the samples in the step. Shape: (n,).
        partners: the positions of the samples that they are mixed with. Shape: (n,).
        shares: the weight of the sample itself, from 0 to 1; 1 leaves it unmixed. Shape: (n,).
        boxes: CutMix: the start and stop row, and the start and stop column, of the box that is pasted from the
            partner; zeros for Mixup, which blends all values. Shape: (n, 2, 2). Units: pixels.
        blends: whether the recipe has Mixup, so that the mixed pixels are not whole numbers.
    """

    rows: NDArray[np.int64]
    partners: NDArray[np.int64]
    shares: NDArray[np.float64]
    boxes: NDArray[np.int64]
    blends: bool

    @property
    def needed(self) -> NDArray[np.int64]:
        """The positions of all samples that have to be read: `rows`, then the partners that are not among them."""
        further = np.setdiff1d(self.partners[self.shares < 1], self.rows)
        return np.concatenate([self.rows, further])


def draw_mixes(
    seed: int,
    epoch: int,
    indices: NDArray[np.int64],
    rows: NDArray[np.int64],
    augmentation: Augmentation,
    image: tuple[int, int] | None,
) -> Mixes | None:
    """Draw how samples of a step are mixed. Returns None if the recipe has neither Mixup nor CutMix.

    Args:
        seed: the seed of the recipe.
        epoch: from 0.
        indices: the indices of all samples of the step in the dataset, in the step's order.
        rows: the positions in the step of the samples to draw for.
        augmentation: the augmentation of the recipe.
        image: height and width of the network's input; None for features, which have no boxes.
    """
    probabilities = augmentation.mixes
    if not any(probabilities):
        return None
    alphas = [mix.alpha if mix else 1.0 for mix in (augmentation.mixup, augmentation.cutmix)]
    partners = (rows + len(indices) // 2) % max(1, len(indices))
    uniform, shares, pasted = np.empty((len(rows), 3)), np.ones(len(rows)), np.zeros(len(rows), bool)
    for number, random in enumerate(stream_of_each(seed, "mix", epoch, indices[rows])):
        random.random(out=uniform[number])
        if uniform[number, 0] < sum(probabilities):
            kind = int(uniform[number, 0] >= probabilities[0])  # 0 for Mixup, 1 for CutMix
            shares[number], pasted[number] = random.beta(alphas[kind], alphas[kind]), kind == 1
    shares[partners == rows] = 1.0
    boxes = np.zeros((len(rows), 2, 2), np.int64)
    if image is not None:
        boxes[pasted] = _boxes(shares[pasted], uniform[pasted, 1:], np.array(image))
        shares[pasted] = 1 - np.ptp(boxes[pasted], axis=2).prod(axis=1) / math.prod(image)
    return Mixes(rows, partners, shares, boxes, augmentation.mixup is not None)


def _boxes(shares: NDArray[np.float64], centres: NDArray[np.float64], image: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return boxes that leave these shares of an image uncovered, before they are clipped to it. Shape: (n, 2, 2).

    Their aspect ratio is that of the image.
    """
    sides = np.rint(np.sqrt(1 - shares)[:, None] * image).astype(np.int64)
    starts = (centres * image).astype(np.int64) - sides // 2
    return np.stack([starts, starts + sides], axis=2).clip(0, image[:, None])


def mix(read: Batch, mixes: Mixes, threads: int, memory: Memory) -> Batch:
    """Mix the inputs and the targets of samples.

    Pixels may be mixed before normalization, which is affine. Color noise is added here, since the pixels of a pasted
    box have the noise of the partner.

    Args:
        read: the samples at `mixes.needed`, unmixed; bad ones are missing.
        mixes: how the samples are mixed.
        threads: number of threads that mix.
        memory: the pool from which the mixed inputs are allocated.
    """
    index_of_row = np.full(1 + max([*mixes.rows, *mixes.partners], default=-1), -1)
    index_of_row[read.rows] = np.arange(len(read.rows))
    good = index_of_row[mixes.rows] >= 0
    samples, partners = index_of_row[mixes.rows[good]], index_of_row[mixes.partners[good]]
    shares = np.where(partners < 0, 1.0, mixes.shares[good])
    inputs = _mix_inputs(read, samples, partners, shares, mixes.boxes[good], mixes.blends, threads, memory)
    labels, partner_labels = read.labels[samples], read.labels[np.where(shares < 1, partners, samples)]
    smaller = shares < 1 / 2  # `Batch.labels` has the label with the larger share
    return Batch(
        inputs,
        np.where(smaller, partner_labels, labels),
        read.rows[samples],
        partners=np.where(smaller, labels, partner_labels),
        shares=np.maximum(shares, 1 - shares),
    )


def _mix_inputs(
    read: Batch,
    samples: NDArray[np.int64],
    partners: NDArray[np.int64],
    shares: NDArray[np.float64],
    boxes: NDArray[np.int64],
    blends: bool,
    threads: int,
    memory: Memory,
) -> NDArray[Any]:
    """Return the mixed inputs of samples. `samples` and `partners` are indices into the batch that was read."""
    inputs, shape = read.inputs, read.inputs.shape[1:]
    dtype = inputs.dtype if read.shifts is None and not blends else np.result_type(inputs.dtype, np.float32)
    mixed = memory.array((len(samples), *shape[:-1], shape[-1] * dtype.itemsize)).view(dtype)
    # Columns and channels are merged into one axis: NumPy is a hundred times slower if the last axis has 3 elements.
    flat, channels = (shape[0], math.prod(shape[1:])), math.prod(shape[2:])
    sources, targets = inputs.reshape(len(inputs), *flat), mixed.reshape(len(mixed), *flat)
    noise = None if read.shifts is None else np.tile(read.shifts, shape[1])

    def copy(target: NDArray[Any], sample: int, rows: slice = slice(None), columns: slice = slice(None)) -> None:
        if noise is None:
            target[rows, columns] = sources[sample, rows, columns]
        else:
            np.add(sources[sample, rows, columns], noise[sample, columns], out=target[rows, columns])

    def fill(numbers: range) -> None:
        for number in numbers:
            target, share, (rows, columns) = targets[number], float(shares[number]), boxes[number].tolist()
            copy(target, samples[number])
            if share == 1:
                continue
            if rows[1]:  # a box
                copy(target, partners[number], slice(*rows), slice(*(channels * column for column in columns)))
            else:
                partner = np.empty_like(target)
                copy(partner, partners[number])
                _blend(target, partner, share)

    chunks = split_range(len(samples), threads)
    deque(map(fill, chunks) if threads == 1 else in_threads(fill, chunks, threads), maxlen=0)
    return mixed


def _blend(target: NDArray[Any], partner: NDArray[Any], share: float) -> None:
    """Set `target` to share · target + (1 - share) · partner, in place; `partner` is overwritten."""
    target *= share
    partner *= 1 - share
    target += partner
