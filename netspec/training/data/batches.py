"""From a dataset to the batches of a run: a function of the recipe, the data and the number of the step."""

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
from netspec.training.data.augmentation import cut, draw
from netspec.training.data.dataset import Dataset
from netspec.training.data.findings import OnBadSample
from netspec.training.data.masked_images import open_reader
from netspec.training.data.mixing import draw_mixes, mix
from netspec.training.data.parallel import ahead, available_threads
from netspec.training.data.samples import Memory, Reading
from netspec.training.data.statistics import Components
from netspec.training.data.targets import MapRule
from netspec.weights import stream

# What moves pixels, or mixes them, and leaves the masks where they are; of what is padded a mask says nothing.
OF_WHOLE_IMAGES = ("crop_padding", "rand_augment", "auto_augment", "mixup", "cutmix")


@dataclass(frozen=True, slots=True)
class StepBatch:
    """What one optimizer step is taken on.

    Attributes:
        batches: this rank's share, a batch for each that is accumulated; one that has no sample for it is left out.
        total: samples of the step over all batches and ranks; 0 when every one was bad and skipped.
        bad: of this step's samples that were skipped, where each is and what is wrong with it.
    """

    batches: tuple[Batch, ...]
    total: int
    bad: tuple[str, ...] = ()


class Batches:
    """The batches of a run, by optimizer step.

    An epoch goes through the dataset in an order of its own, drawn from the seed. A step takes the next
    batch_size · accumulate samples of it, or what is left at its end where the recipe keeps the last batch. Of each
    batch, rank r has the samples r, r + world, …; it reads those of others that they are mixed with too.

    Args:
        dataset: what is trained on.
        input_shape: of the network, without the batch: (C, H, W) for images.
        preprocessing: of the network; None takes the values of images as they are.
        recipe: its seed, batch size, last batch and augmentation are read.
        components: of the training set's colors, where the recipe has color noise.
        rank, world: this process among those that train together.
        on_bad_sample: whether a bad sample ends the run or is left out.
        rule: how masks become labels, where the dataset has them.

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
                f"bad samples cannot be skipped by {world} processes: each would have to know of the others' before a"
                " step, since all divide by the number of its samples",
                "leave them out beforehand: `netspec data prepare SRC OUT --on-bad-sample skip`",
            )
        how = Reading(input_shape, preprocessing, on_bad_sample, whole=recipe.augmentation.resizes, rule=rule)
        self._reader = open_reader(dataset, how)
        _require_augmentation(dataset, input_shape, recipe.augmentation, components, masks=rule is not None)
        self._dataset, self._recipe, self._components = dataset, recipe, components
        self._bgr = preprocessing is not None and preprocessing.channel_order == "bgr"
        self._rank, self._world = rank, world
        self._size = recipe.batch_size * recipe.accumulate
        self._image = (input_shape[1], input_shape[2]) if dataset.images else None
        self._memory = Memory()
        if recipe.last_batch == "drop" and len(dataset) < self._size:
            raise NetspecError(
                f"{dataset.origin}: has {len(dataset):,} samples, a step takes {self._size:,}, and the recipe drops"
                " what does not fill one: nothing is left to train on",
                "--set training.last_batch=keep, or a smaller training.batch_size",
            )

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in which an epoch goes through the dataset."""
        whole, left = divmod(len(self._dataset), self._size)
        return whole + (left > 0 and self._recipe.last_batch == "keep")

    def smallest(self, steps: int) -> int:
        """The samples of the smallest batch, over all ranks, of a run of so many optimizer steps."""
        size, left = self._recipe.batch_size, len(self._dataset) % self._recipe.batch_size
        last = self._recipe.last_batch == "keep" and steps >= self.steps_per_epoch
        return left if left and last else size

    def step(self, step: int, threads: int | None = None) -> StepBatch:
        """The batches of an optimizer step, counted from 0: the same whenever it is asked for.

        Raises:
            BadDataError: it has a bad sample, and that is fatal.
        """
        recipe = self._recipe
        epoch, place = divmod(step, self.steps_per_epoch)
        indices = order(recipe.seed, epoch, len(self._dataset))[place * self._size : (place + 1) * self._size]
        rows = np.arange(len(indices))
        rows = rows[rows % recipe.batch_size % self._world == self._rank]
        mixes = draw_mixes(recipe.seed, epoch, indices, rows, recipe.augmentation, self._image)
        rows = rows if mixes is None else mixes.needed
        own, threads = indices[rows], threads or available_threads()
        draws = draw(recipe.seed, epoch, own, recipe.augmentation, self._components, bgr=self._bgr)
        samples = self._reader.read(own, threads, partial(cut, draws=draws))
        whole = Batch(
            samples.inputs,
            self._dataset.labels[own[samples.good]] if samples.labels is None else samples.labels,
            rows[samples.good],
            None if draws.shifts is None else draws.shifts[samples.good],
            weights=samples.weights,
        )
        if mixes is not None:
            whole = mix(whole, mixes, threads, self._memory)
        return StepBatch(self._divide(whole), len(indices) - len(samples.bad), samples.bad)

    def _divide(self, whole: Batch) -> tuple[Batch, ...]:
        """The batches that a step's samples go through the network in; rows close up over samples that were skipped."""
        size = self._recipe.batch_size
        numbers = np.arange(len(whole.rows)) if self._world == 1 else whole.rows
        batches = []
        for number in range(self._recipe.accumulate):
            start, stop = np.searchsorted(whole.rows, (number * size, (number + 1) * size))
            if start < stop:
                batches.append(replace(whole.part(slice(start, stop)), rows=numbers[start:stop]))
        return tuple(batches)

    def stream(self, start: int, stop: int, *, threads: int | None = None, workers: int = 0) -> Generator[StepBatch]:
        """The batches of the steps from `start` to before `stop`, read ahead. To be closed.

        Args:
            start: the first optimizer step, from 0.
            stop: the one after the last.
            threads: that read samples, in each process.
            workers: processes that read; 0 for this one alone.

        Raises:
            BadDataError: a step has a bad sample, and that is fatal.
            NetspecError: grain is not installed, or a process that reads died.
        """
        return ahead(partial(self.step, threads=threads), start, stop, workers)


@lru_cache(maxsize=2)  # two epochs are in the making where one ends
def order(seed: int, epoch: int, samples: int) -> NDArray[np.int64]:
    """The order in which an epoch goes through a dataset. Shape: (samples,)."""
    found = stream(seed, "shuffle", str(epoch)).permutation(samples)
    found.flags.writeable = False
    return found


def _require_augmentation(
    dataset: Dataset,
    shape: tuple[int, ...],
    augmentation: Augmentation,
    components: Components | None,
    *,
    masks: bool,
) -> None:
    """Raise a NetspecError for what cannot be done to the samples, or not for this input."""
    if augmentation.of_images and not dataset.images:
        raise NetspecError(
            f"{', '.join(augmentation.of_images)}: only for images, and the samples of {dataset.origin} are features"
        )
    alone = [name for name in augmentation.asked if name in OF_WHOLE_IMAGES]
    if masks and alone:
        raise NetspecError(
            f"{', '.join(alone)}: only for images with one label each, and the samples of {dataset.origin} have masks"
        )
    if augmentation.policy:
        load_operations()
    if dataset.images:
        for misfit in augmentation.misfits(*shape[1:]):
            raise NetspecError(f"{misfit.name}: {misfit.message}", misfit.hint)
    if augmentation.color_noise and components is None:
        raise NetspecError("color_noise: needs the components of the training set's colors, received none")
