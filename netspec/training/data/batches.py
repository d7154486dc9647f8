"""Build the training batches: a pure function of the recipe, the dataset and the step number."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from netspec.errors import NetspecError
from netspec.graph import Preprocessing
from netspec.lowering import Batch
from netspec.recipe import Augmentation, Recipe
from netspec.training.data.augment import load_operations
from netspec.training.data.augmentation import Crops, draw
from netspec.training.data.dataset import Dataset
from netspec.training.data.findings import OnBadSample
from netspec.training.data.masked_images import open_reader
from netspec.training.data.mixing import draw_mixes, mix
from netspec.training.data.parallel import available_threads, prefetch
from netspec.training.data.samples import Memory, ReadOptions
from netspec.training.data.statistics import Components
from netspec.training.data.targets import MapRule
from netspec.weights import stream
from netspec.words import counted


@dataclass(frozen=True, slots=True)
class StepBatch:
    """The data of one optimizer step.

    Attributes:
        batches: this rank's batches, one per accumulation; batches without samples for this rank are left out.
        total: number of samples of the step over all batches and ranks; 0 if all were bad and skipped.
        bad: a message for each skipped sample, with its location and what is wrong with it.
    """

    batches: tuple[Batch, ...]
    total: int
    bad: tuple[str, ...] = ()


class Batches:
    """The batches of a run, indexed by optimizer step.

    Each epoch shuffles the dataset anew, by the seed. A step takes the next batch_size · accumulate samples, or the
    remainder at the end of the epoch if the recipe keeps the last batch. Rank r gets the samples r, r + world, … of
    each batch; it also reads the samples of other ranks that these are mixed with (Mixup, CutMix).

    Args:
        dataset: the training set.
        input_shape: the shape of the network's input without the batch: (C, H, W) for images.
        preprocessing: that of the network; None leaves pixel values unchanged.
        recipe: provides the seed, the batch size, the treatment of the last batch and the augmentation.
        components: principal components of the training set's colors, required for color noise.
        rank, world: the number of this process, and how many processes train together.
        on_bad_sample: whether a bad sample ends the run or is skipped.
        rule: how masks are converted to labels, if the dataset has masks.

    Raises:
        NetspecError: dataset, network and recipe do not fit together.
    """

    def __init__(
        self,
        dataset: Dataset,
        input_shape: tuple[int, ...],
        preprocessing: Preprocessing | None,
        recipe: Recipe,
        components: Components | None,
        *,
        rank: int = 0,
        world: int = 1,
        on_bad_sample: OnBadSample = "fatal",
        rule: MapRule | None = None,
    ) -> None:
        if on_bad_sample == "skip" and world > 1:
            raise NetspecError(
                f"bad samples cannot be skipped by {world} processes: all divide by the number of samples of a step, so"
                " each would have to know the bad samples of the others before it",
                "leave them out beforehand: `netspec data prepare SRC OUT --on-bad-sample skip`",
            )
        options = ReadOptions(
            input_shape, preprocessing, on_bad_sample, full_size=recipe.augmentation.resizes, rule=rule
        )
        self._reader = open_reader(dataset, options)
        _require_augmentation(dataset, input_shape, recipe.augmentation, components, masks=rule is not None)
        self._dataset, self._recipe, self._components = dataset, recipe, components
        self._bgr = preprocessing is not None and preprocessing.channel_order == "bgr"
        self._rank, self._world = rank, world
        self._size = recipe.batch_size * recipe.accumulate
        self._image = (input_shape[1], input_shape[2]) if dataset.images else None
        self._memory = Memory()
        if recipe.last_batch == "drop" and len(dataset) < self._size:
            samples = counted(len(dataset), "sample")
            raise NetspecError(
                f"{dataset.origin}: has {samples}, a step takes {self._size:,}, and the recipe drops"
                " what does not fill one: nothing is left to train on",
                "--set training.last_batch=keep, or a smaller training.batch_size",
            )

    @property
    def steps_per_epoch(self) -> int:
        """Number of optimizer steps in an epoch."""
        whole, left = divmod(len(self._dataset), self._size)
        return whole + (left > 0 and self._recipe.last_batch == "keep")

    def smallest(self, steps: int) -> int:
        """Return the size of the smallest batch, over all ranks, in a run of this many optimizer steps."""
        size, left = self._recipe.batch_size, len(self._dataset) % self._recipe.batch_size
        last = self._recipe.last_batch == "keep" and steps >= self.steps_per_epoch
        return left if left and last else size

    def step(self, step: int, threads: int | None = None) -> StepBatch:
        """Return the batches of an optimizer step, counted from 0. Repeated calls return the same batches.

        Raises:
            BadDataError: a sample is bad and bad samples are fatal.
        """
        recipe = self._recipe
        epoch, number = divmod(step, self.steps_per_epoch)
        indices = order(recipe.seed, epoch, len(self._dataset))[number * self._size : (number + 1) * self._size]
        rows = np.arange(len(indices))
        rows = rows[rows % recipe.batch_size % self._world == self._rank]
        mixes = draw_mixes(recipe.seed, epoch, indices, rows, recipe.augmentation, self._image)
        rows = rows if mixes is None else mixes.needed
        indices_read, threads = indices[rows], threads or available_threads()
        draws = draw(recipe.seed, epoch, indices_read, recipe.augmentation, self._components, bgr=self._bgr)
        samples = self._reader.read(indices_read, threads, Crops(draws))
        step_samples = Batch(
            samples.inputs,
            self._dataset.labels[indices_read[samples.good]] if samples.labels is None else samples.labels,
            rows[samples.good],
            None if draws.shifts is None else draws.shifts[samples.good],
            weights=samples.weights,
        )
        if mixes is not None:
            step_samples = mix(step_samples, mixes, threads, self._memory)
        return StepBatch(self._split(step_samples), len(indices) - len(samples.bad), samples.bad)

    def _split(self, samples: Batch) -> tuple[Batch, ...]:
        """Split the samples of a step into its batches. Rows are renumbered without gaps for skipped samples."""
        size = self._recipe.batch_size
        rows = np.arange(len(samples.rows)) if self._world == 1 else samples.rows
        batches = []
        for number in range(self._recipe.accumulate):
            start, stop = np.searchsorted(samples.rows, (number * size, (number + 1) * size))
            if start < stop:
                batches.append(replace(samples.part(slice(start, stop)), rows=rows[start:stop]))
        return tuple(batches)

    def stream(self, start: int, stop: int, *, threads: int | None = None, workers: int = 0) -> Generator[StepBatch]:
        """Yield the batches of the steps from `start` up to `stop`, read ahead. The generator must be closed.

        Args:
            start: the first optimizer step, from 0.
            stop: the step after the last.
            threads: threads that read samples, in each process.
            workers: number of reader processes; 0 reads in this process.

        Raises:
            BadDataError: a sample is bad and bad samples are fatal.
            NetspecError: grain is not installed, or a reader process died.
        """
        return prefetch(partial(self.step, threads=threads), start, stop, workers)


@lru_cache(maxsize=2)  # at the end of an epoch, steps of two epochs are read at the same time
def order(seed: int, epoch: int, samples: int) -> NDArray[np.int64]:
    """Return the order of the samples in an epoch, as indices into the dataset. Shape: (samples,)."""
    permutation = stream(seed, "shuffle", str(epoch)).permutation(samples)
    permutation.flags.writeable = False
    return permutation


def _require_augmentation(
    dataset: Dataset,
    shape: tuple[int, ...],
    augmentation: Augmentation,
    components: Components | None,
    *,
    masks: bool,
) -> None:
    """Raise a NetspecError if an augmentation does not apply to these samples or to this input shape."""
    if augmentation.image_only and not dataset.images:
        raise NetspecError(
            f"{', '.join(augmentation.image_only)}: only for images, and the samples of {dataset.origin} are features"
        )
    if masks and augmentation.without_masks:
        raise NetspecError(
            f"{', '.join(augmentation.without_masks)}: only for images with one label each, and the samples of "
            f"{dataset.origin} have masks"
        )
    if augmentation.operates:
        load_operations()  # fails here, not at the first step, if Pillow is missing
    if dataset.images:
        for misfit in augmentation.misfits(*shape[1:]):
            raise NetspecError(f"{misfit.name}: {misfit.message}", misfit.hint)
    if augmentation.color_noise and components is None:
        raise NetspecError("color_noise: needs the components of the training set's colors, received none")
