"""Checkpoints: the state of a run in one safetensors file, canonical, so that any backend can resume from it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from netspec.errors import WeightsError
from netspec.graph import Graph
from netspec.graph.text import spec_hash
from netspec.graph.weights import check_weights
from netspec.lowering import TrainingState
from netspec.recipe import Recipe
from netspec.training.adversarial import DISCRIMINATOR_PREFIX, Opponent, divided_state, joined_state
from netspec.training.schedule import Plateau
from netspec.training.update import slot_names
from netspec.weights import SLOT, read_arrays, write_arrays

VERSION = 1


@dataclass(frozen=True, slots=True)
class Sums:
    """Running totals over the steps of the current epoch."""

    loss: float = 0.0
    wrong: float = 0.0
    samples: int = 0

    def plus(self, loss: float, wrong: float, samples: int) -> Sums:
        """The totals with another step added, whose `loss` is the mean over its samples."""
        return Sums(self.loss + loss * samples, self.wrong + wrong, self.samples + samples)


@dataclass(frozen=True, slots=True)
class Position:
    """The progress of a run, apart from its arrays. With the seed it determines all further batches, crops and masks.

    Attributes:
        step: optimizer steps taken, which is also the index of the next step.
        epoch: totals over the steps of the current epoch.
        plateau: the state of a plateau schedule.
        best_error: the lowest validation error so far (training error without a validation set); None before the first.
        best_epoch: the epoch that reached it, counted from 1.
        seconds: time spent training, over all sessions.
    """

    step: int = 0
    epoch: Sums = field(default_factory=Sums)
    plateau: Plateau = field(default_factory=Plateau)
    best_error: float | None = None
    best_epoch: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Run:
    """The identity of a run: what must be the same when it is resumed.

    Attributes:
        recipe: the recipe as JSON.
        data: the fingerprint of the training set.
        exact: whether dropout masks come from the stream that all backends share.
        validation: the fingerprint of the validation set, empty without one; None if the checkpoint does not record it.
        discriminator: of a generator, the discriminator's `recipe` as JSON, and as `network` the hash of its training
            graph; None for other networks.
    """

    recipe: dict[str, Any]
    data: str
    exact: bool
    validation: str | None = None
    discriminator: dict[str, Any] | None = None


def save_checkpoint(path: Path, graph: Graph, state: TrainingState, position: Position, run: Run) -> Path:
    """Write a checkpoint atomically: the file gets its name only once it is complete and on the disk.

    Raises:
        NetspecError: the file cannot be written.
    """
    arrays = dict(state.weights)
    for slot, slot_arrays in state.slots.items():
        arrays |= {f"{slot}{SLOT}{name}": array for name, array in slot_arrays.items()}
    metadata = {
        "spec": graph.name,
        "spec_hash": spec_hash(graph),
        "checkpoint": VERSION,
        "updates": state.updates,
        "position": asdict(position),
        "run": asdict(run),
    }
    return write_arrays(path, arrays, metadata)


def load_checkpoint(
    path: Path, graph: Graph, recipe: Recipe, opponent: Opponent | None = None
) -> tuple[TrainingState, Position, Run]:
    """Read a checkpoint of this network and optimizer; of a generator, with those of its discriminator.

    Raises:
        WeightsError: the file is missing, damaged or no checkpoint, or belongs to another network or optimizer.
    """
    arrays, metadata = read_arrays(path)
    if metadata.get("checkpoint") != VERSION:
        raise WeightsError(
            f"{path}: not a checkpoint of this version of netspec",
            "to begin with its weights alone, give it as --weights FILE",
        )
    if metadata["spec_hash"] != spec_hash(graph):
        raise WeightsError(
            f"{path}: the checkpoint is of another network: spec {metadata['spec']!r} has changed since, or is another",
            "`netspec diff` shows what differs between the run's spec.yaml and yours",
        )
    run = Run(**metadata["run"])
    weights: dict[str, np.ndarray[Any, Any]] = {}
    slots: dict[str, dict[str, np.ndarray[Any, Any]]] = {}
    for name, array in arrays.items():
        slot, separator, weight = name.partition(SLOT)
        if separator and not name.startswith(DISCRIMINATOR_PREFIX):
            slots.setdefault(slot, {})[weight] = array
        else:
            weights[name] = array
    state = TrainingState(weights, slots, metadata["updates"])
    if (opponent is None) != (run.discriminator is None):
        kind = "a classifier" if run.discriminator is None else "a generator with its discriminator"
        raise WeightsError(f"{path}: the checkpoint is of {kind}, and this recipe is of another kind")
    if opponent is None:
        return _of_network(path, graph, recipe, state), _position(metadata["position"]), run
    if run.discriminator is not None and run.discriminator["network"] != spec_hash(opponent.graph):
        raise WeightsError(
            f"{path}: the checkpoint is of a generator with another discriminator than {opponent.graph.name} as it is "
            "now",
            "`netspec diff` shows what differs between the run's discriminator.yaml and yours",
        )
    generator, discriminator = divided_state(state)
    generator = _of_network(path, graph, recipe, generator)
    discriminator = _of_network(path, opponent.graph, opponent.recipe, discriminator)
    return joined_state(generator, discriminator), _position(metadata["position"]), run


def _of_network(path: Path, graph: Graph, recipe: Recipe, state: TrainingState) -> TrainingState:
    """The state of one network, with its weights in order and every slot of its optimizer."""
    check_weights(graph, state.weights)
    slots = {name: state.slots.get(name, {}) for name in (*slot_names(recipe), *state.slots)}
    if set(slots) != set(slot_names(recipe)):
        expected, found = (", ".join(sorted(names)) or "nothing" for names in (slot_names(recipe), slots))
        raise WeightsError(f"{path}: its optimizer kept {found}, and the recipe's keeps {expected}")
    return TrainingState({name: state.weights[name] for name in graph.weights}, slots, state.updates)


def _position(fields: dict[str, Any]) -> Position:
    return Position(**(fields | {"epoch": Sums(**fields["epoch"]), "plateau": Plateau(**fields["plateau"])}))
