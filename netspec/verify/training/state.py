"""The differences between two training states, or between a state and the NumPy update of the state before it."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import NamedTuple

from netspec.lowering import TrainingState
from netspec.ops.base import Array, Weights
from netspec.recipe import Recipe
from netspec.training.update import clip, slot_names, update
from netspec.verify.compare import NEGLIGIBLE_STATE, Gap, blocks
from netspec.verify.report import LOSS


class Subject(NamedTuple):
    """The name of a compared quantity: a weight, an optimizer slot of a weight, or the loss."""

    name: str
    slot: str = ""

    def __str__(self) -> str:
        if self.name == LOSS:
            return "the loss"
        return f"{self.slot.replace('_', ' ')} of {self.name}" if self.slot else self.name


THE_LOSS = Subject(LOSS)
Gaps = dict[Subject, Gap]
INCOMPARABLE = Gap(math.inf)  # for an array that is missing, or of another shape or dtype


def update_gaps(recipe: Recipe, before: TrainingState, gradients: Weights, rate: float, after: TrainingState) -> Gaps:
    """The gaps between a state and `update` of the state before it, for all weights with a gradient and their slots.

    After clipping, the update of a filter, a slice along the first axis, depends on it alone: blocks of filters are
    computed and compared.
    """
    clipped = clip(gradients, recipe.clip_gradient_norm)
    unclipped = recipe.model_copy(update={"clip_gradient_norm": None})
    slots = slot_names(recipe)
    gaps: Gaps = {}
    for name, gradient in clipped.items():
        actual = {slot: array for slot in ("", *slots) if (array := array_of(after, Subject(name, slot))) is not None}
        if len(actual) <= len(slots) or any(not _alike(array, gradient) for array in actual.values()):
            gaps[Subject(name)] = INCOMPARABLE
            continue
        gap_of_slot = {slot: Gap() for slot in actual}
        kept = {slot: _filters(before.slots[slot][name]) for slot in slots if name in before.slots.get(slot, {})}
        weight, own = _filters(before.weights[name]), _filters(gradient)
        for block in blocks(len(own), own[0].size):
            slots_before = {slot: {name: array[block]} for slot, array in kept.items()}
            state = TrainingState({name: weight[block]}, slots_before, before.updates)
            expected = update(unclipped, state, {name: own[block]}, rate)
            for slot, gap in gap_of_slot.items():
                gap.widen(_filters(actual[slot])[block], (expected.slots[slot] if slot else expected.weights)[name])
        gaps |= {Subject(name, slot): gap for slot, gap in gap_of_slot.items()}
    return gaps


def state_gaps(actual: TrainingState, expected: TrainingState) -> Gaps:
    """The gaps between two states: of every weight, including running statistics, and of every slot."""
    gaps: Gaps = {}
    for subject, theirs in arrays_of(expected).items():
        ours = array_of(actual, subject)
        gaps[subject] = INCOMPARABLE if ours is None or not _alike(ours, theirs) else gap_of(ours, theirs)
    return gaps


def gap_of(actual: Array, expected: Array) -> Gap:
    """The gap between two arrays of one shape."""
    gap, ours, theirs = Gap(), actual.reshape(-1), expected.reshape(-1)
    for block in blocks(theirs.size):
        gap.widen(ours[block], theirs[block])
    return gap


def shares(gaps: Mapping[Subject, Gap], noise: Collection[Subject] = ()) -> dict[Subject, float]:
    """Each gap as a share of the largest element of its array.

    The divisor is at least NEGLIGIBLE_STATE of the largest element among all weights, or all arrays of a slot. Of an
    array in `noise`, it is that element: the array has no digits of its own, but the rounding of terms that large.
    """
    largest: dict[str, float] = {}
    for subject, gap in gaps.items():
        largest[subject.slot] = max(largest.get(subject.slot, 0.0), gap.largest)
    return {
        subject: gap.share(largest[subject.slot] * (1.0 if subject in noise else NEGLIGIBLE_STATE))
        for subject, gap in gaps.items()
    }


def loss_error(actual: float, expected: float, classes: int) -> float:
    """The difference between losses, as a share of the expected loss, or of a uniform guess's if that is larger.

    The loss of a uniform guess is the log of the number of classes. With large logits, a loss can be as small as 1e-20
    if every label happens to be the most likely one, and then consists of rounding errors.
    """
    error = abs(actual - expected) / max(abs(expected), math.log(max(classes, 2)))
    return error if math.isfinite(error) else math.inf


def arrays_of(state: TrainingState) -> dict[Subject, Array]:
    """All arrays of a state, by subject."""
    all_arrays = {Subject(name): array for name, array in state.weights.items()}
    for slot, arrays in state.slots.items():
        all_arrays |= {Subject(name, slot): array for name, array in arrays.items()}
    return all_arrays


def array_of(state: TrainingState, subject: Subject) -> Array | None:
    """The array of a state for a subject; None if there is none."""
    return (state.slots.get(subject.slot, {}) if subject.slot else state.weights).get(subject.name)


def _filters(array: Array) -> Array:
    """The array with a row for each slice along its first axis."""
    return array.reshape(len(array), -1)


def _alike(actual: Array, expected: Array) -> bool:
    return actual.shape == expected.shape and actual.dtype == expected.dtype
