"""Adversarial training: two trainers, a generator's and a discriminator's, that take each step as one trainer.

A step, with a batch of m real samples x and m draws of noise z:

    x̃ ← G(z)                                         in training mode; nothing changes yet
    D takes a step on  − 1/m · (Σ log D(x) + Σ log(1 − D(x̃)))
    G takes a step on  − 1/m · Σ log D(G(z)),         through the updated D, which does not change

D is the probability of class 0, real. This is algorithm 1 of Goodfellow et al. 2014 with k = 1 step of the
discriminator, and with two differences. The generator minimizes the loss of their section 3 that does not saturate.
And its step has the noise of the discriminator's step, where the algorithm draws it anew, as pytorch/examples has it.
Real and generated samples are batches of their own, each with its own batch statistics. The running statistics of a
network follow its own steps alone; in pytorch/examples, the discriminator's follow the generator's steps too, which
changes no step, for none uses them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from netspec.graph import Graph, Normalization
from netspec.lowering import Backend, Batch, StepResult, Trainer, TrainerSettings, TrainingState
from netspec.ops.base import Array, Weights
from netspec.ops.initializers import draw
from netspec.recipe import Recipe
from netspec.spec import ModelSpec
from netspec.spec.pair import trainable_pair
from netspec.training.dropout_masks import with_masks
from netspec.training.network import network_inputs
from netspec.weights import SLOT, stream

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netspec.ops.initializers import Noise

DISCRIMINATOR_PREFIX: Final = f"discriminator{SLOT}"  # of its arrays; no weight of a generator begins with it
REAL, GENERATED = 0, 1  # the classes of the discriminator


@dataclass(frozen=True)
class Opponent:
    """The discriminator of a generator.

    Attributes:
        graph: its training graph.
        recipe: its loss, optimizer, overrides and clipping; all else is the generator's.
    """

    graph: Graph
    recipe: Recipe


def opponent_of(spec: ModelSpec) -> Opponent | None:
    """The discriminator of a generator's spec; None for another spec.

    Raises:
        NetspecError: as for `trainable_pair`.
    """
    other = spec.discriminator
    if other is None:
        return None
    graph = trainable_pair(spec).discriminator
    assert other.training is not None  # noqa: S101 # a pair has two recipes
    return Opponent(graph, other.training)


def joined(generator: Mapping[str, Any], discriminator: Mapping[str, Any]) -> dict[str, Any]:
    """What two networks have by the name of a weight, as one mapping."""
    return {**generator, **{f"{DISCRIMINATOR_PREFIX}{name}": value for name, value in discriminator.items()}}


def divided(both: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parts of a mapping that `joined` made: the generator's and the discriminator's."""
    generator = {name: value for name, value in both.items() if not name.startswith(DISCRIMINATOR_PREFIX)}
    rest = {name: value for name, value in both.items() if name.startswith(DISCRIMINATOR_PREFIX)}
    return generator, {name.removeprefix(DISCRIMINATOR_PREFIX): value for name, value in rest.items()}


def divided_state(state: TrainingState) -> tuple[TrainingState, TrainingState]:
    """The generator's and the discriminator's part of a state of both. A slot is of those that have arrays in it."""
    slots = {slot: divided(arrays) for slot, arrays in state.slots.items()}
    first, second = (
        TrainingState(weights, {slot: both[part] for slot, both in slots.items() if both[part]}, state.updates)
        for part, weights in enumerate(divided(state.weights))
    )
    return first, second


def joined_state(generator: TrainingState, discriminator: TrainingState) -> TrainingState:
    """The states of two networks as one, of which `divided_state` is the inverse."""
    names = dict.fromkeys([*generator.slots, *discriminator.slots])
    slots = {name: joined(generator.slots.get(name, {}), discriminator.slots.get(name, {})) for name in names}
    return TrainingState(joined(generator.weights, discriminator.weights), slots, generator.updates)


def noise_for(noise: Noise, features: tuple[int, ...], rows: NDArray[np.int64], key: int) -> NDArray[np.float32]:
    """The noise of the samples with these rows: it depends on the key and the row alone. Shape: (N, *features)."""
    count = 1 + int(rows.max()) if len(rows) else 0
    return draw(noise, (count, *features), 0, 0, stream(key, "noise"))[rows]


class AdversarialTrainer(Trainer):
    """A generator and its discriminator, each with a trainer of the same backend; see the module for a step.

    The batches of a step hold real samples, whose labels are not read. `StepResult.loss` is the generator's loss, and
    `wrong` half the number of real and generated samples that the discriminator took for the other kind, so that
    `wrong / total` is its error: 0.5 if it cannot tell them apart. Gradients and states are of both networks, the names
    of the discriminator's weights with the prefix `DISCRIMINATOR_PREFIX`.

    If a loss is not finite, the generator stays unchanged; the discriminator has then taken its step, unless the loss
    is its own.

    Args:
        graph: the training graph of the generator, whose one input is noise.
        opponent: the discriminator.
        weights: initial canonical arrays of both.
        backend: the backend that trains both.
        settings: the generator's recipe, the normalization of real images, device and precision.
        exact: whether dropout masks come from the stream that all backends share.

    Raises:
        BackendError: as for `Backend.trainer`.
    """

    def __init__(
        self,
        graph: Graph,
        opponent: Opponent,
        weights: Weights,
        backend: Backend,
        settings: TrainerSettings,
        *,
        exact: bool = False,
    ) -> None:
        recipe = settings.recipe
        assert recipe.adversarial is not None  # noqa: S101 # the caller's part
        self._noise = recipe.adversarial.noise
        self._graph, self._opponent, self._exact = graph, opponent, exact
        self._normalization: Normalization | None = settings.normalization
        theirs = opponent.recipe.model_copy(update={"batch_size": recipe.batch_size})
        self._ratio = theirs.optimizer.learning_rate / recipe.optimizer.learning_rate
        own_weights, their_weights = divided(weights)
        self._generator = backend.trainer(graph, own_weights, replace(settings, normalization=None))
        try:
            self._discriminator = backend.trainer(
                opponent.graph, their_weights, replace(settings, recipe=theirs, normalization=None)
            )
        except BaseException:
            self._generator.close()
            raise
        self.native = self._generator.native
        self.device = self._generator.device
        self.notes = self._generator.notes

    def step(
        self, batches: Sequence[Batch], rate: float, total: int, key: int, *, keep_gradients: bool = False
    ) -> StepResult:
        """One optimizer step of each network; see `Trainer.step`.

        Args:
            batches: real samples; as many are generated for each batch.
            rate: the generator's learning rate; the discriminator's is in the proportion of their recipes.
            total: the number of real samples, by which both losses are divided.
            key: the seed of noise and dropout.
            keep_gradients: whether to return the gradients of both networks.

        Raises:
            BackendError: a batch does not fit the networks, or has no samples.
        """
        seeds = [int(seed) for seed in np.random.SeedSequence(key).generate_state(3, np.uint32)]
        batches = [batch for batch in batches if len(batch.inputs)]
        noise = self._masked(self._graph, [self._noise_batch(batch, key) for batch in batches], seeds[0])
        generated = self._generator.outputs(noise, seeds[0])
        judged = [
            *(_labelled(network_inputs(b.inputs, b.shifts, self._normalization), b.rows, REAL) for b in batches),
            *(_labelled(x, b.rows + total, GENERATED) for x, b in zip(generated, batches, strict=True)),
        ]
        judged = self._masked(self._opponent.graph, judged, seeds[1])
        told = self._discriminator.step(judged, self._ratio * rate, total, seeds[1], keep_gradients=keep_gradients)
        loss, gradients = told.loss, dict[str, Array]()
        if np.isfinite(told.loss):
            fooling = [_labelled(x, b.rows, REAL) for x, b in zip(generated, batches, strict=True)]
            slopes = self._discriminator.input_gradients(
                self._masked(self._opponent.graph, fooling, seeds[2]), seeds[2]
            )
            loss = slopes.loss / total
            pulled = [replace(b, cotangents=g) for b, g in zip(noise, slopes.inputs, strict=True)]
        if np.isfinite(loss):
            result = self._generator.step(pulled, rate, total, seeds[0], keep_gradients=keep_gradients)
            # Its trainer knows its loss but for a constant: the inner product is finite where outputs and slopes are.
            loss, gradients = loss if np.isfinite(result.loss) else result.loss, result.gradients or {}
        both = joined(gradients, told.gradients or {}) if keep_gradients else None
        return StepResult(loss, told.wrong / 2, both)

    def _noise_batch(self, real: Batch, key: int) -> Batch:
        """As many draws of noise as a batch has samples."""
        noise = noise_for(self._noise, self._graph.inputs[0].type.features, real.rows, key)
        return Batch(noise, np.zeros(len(noise), np.int64), real.rows)

    def _masked(self, graph: Graph, batches: list[Batch], seed: int) -> list[Batch]:
        """The batches with the dropout masks that all backends share, if they are to have them."""
        return list(with_masks(graph, tuple(batches), seed, 0)) if self._exact and batches else batches

    def predict(self, inputs: NDArray[Any]) -> Array:
        """The generator's outputs at inference, with averaged weights if it has them. Shapes: (N, …) → (N, …)."""
        return self._generator.predict(inputs)

    def export_state(self) -> TrainingState:
        """A copy of the state of both networks."""
        return joined_state(self._generator.export_state(), self._discriminator.export_state())

    def import_state(self, state: TrainingState) -> None:
        """Load a state of both networks."""
        generator, discriminator = divided_state(state)
        self._generator.import_state(generator)
        self._discriminator.import_state(discriminator)

    def close(self) -> None:
        """Close both trainers."""
        self._discriminator.close()
        self._generator.close()


def _labelled(inputs: Array, rows: NDArray[np.int64], label: int) -> Batch:
    """Samples of one class, already in the range of the discriminator's input."""
    return Batch(inputs, np.full(len(inputs), label), rows)
