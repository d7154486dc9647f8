"""The comparison of adversarial training: what it covers, and the faults that only such training can have."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from netspec.errors import NetspecError
from netspec.graph import Graph
from netspec.lowering import (
    Batch,
    InputGradients,
    StepResult,
    Trainer,
    TrainerSettings,
    TrainingState,
    find_backend,
)
from netspec.ops.base import Array, Weights
from netspec.spec import elaborate, read_spec
from netspec.training.adversarial import Opponent, opponent_of
from netspec.verify import verify
from netspec.verify.cases import check_weights_of
from netspec.verify.training import TrainingProof, compare_training, trap
from tests.training.pair import write_pair
from tests.verify.faulty_trainers import NOTHING, FaultyBackend

TORCH = find_backend("torch")


class Wrapped(Trainer):
    """A trainer that does what another one does."""

    def __init__(self, sound: Trainer) -> None:
        self._sound, self.native = sound, sound.native

    def step(
        self, batches: Sequence[Batch], rate: float, total: int, key: int, *, keep_gradients: bool = False
    ) -> StepResult:
        return self._sound.step(batches, rate, total, key, keep_gradients=keep_gradients)

    def predict(self, inputs: Array) -> Array:
        return self._sound.predict(inputs)

    def outputs(self, batches: Sequence[Batch], key: int) -> tuple[Array, ...]:
        return self._sound.outputs(batches, key)

    def input_gradients(self, batches: Sequence[Batch], key: int) -> InputGradients:
        return self._sound.input_gradients(batches, key)

    def export_state(self) -> TrainingState:
        return self._sound.export_state()

    def import_state(self, state: TrainingState) -> None:
        self._sound.import_state(state)


class GradientOfTheMean(Wrapped):
    def input_gradients(self, batches: Sequence[Batch], key: int) -> InputGradients:
        found = super().input_gradients(batches, key)
        return replace(found, inputs=tuple(each / len(each) for each in found.inputs))


class StatisticsFollow(Wrapped):
    """The running statistics of a network follow the passes that are to change nothing."""

    def outputs(self, batches: Sequence[Batch], key: int) -> tuple[Array, ...]:
        found = super().outputs(batches, key)
        cotangents = [replace(b, cotangents=0 * y) for b, y in zip(batches, found, strict=True)]
        weights = self.export_state()
        self._sound.step(cotangents, 0.0, 1, key)
        after = self.export_state().weights
        self.import_state(
            replace(weights, weights={n: after[n] if "running" in n else w for n, w in weights.weights.items()})
        )
        return found


class DiscriminatorSteps(Wrapped):
    """The discriminator takes another step when its gradient is asked for."""

    def input_gradients(self, batches: Sequence[Batch], key: int) -> InputGradients:
        found = super().input_gradients(batches, key)
        self._sound.step(batches, 1e-3, len(batches[0].labels), key)
        return found


class OtherKind(Wrapped):
    """The generator is told to be found out."""

    def input_gradients(self, batches: Sequence[Batch], key: int) -> InputGradients:
        found = super().input_gradients(batches, key)
        return replace(found, inputs=tuple(-each for each in found.inputs))


class Faulty(FaultyBackend):
    def __init__(self, trainer: type[Wrapped]) -> None:
        super().__init__(TORCH, replace(NOTHING, name=trainer.__name__))
        self._trainer = trainer

    def trainer(self, graph: Graph, weights: Weights, settings: TrainerSettings) -> Trainer:
        return self._trainer(self._backend.trainer(graph, weights, settings))


def pair(folder: Path) -> tuple[Graph, Opponent]:
    spec = read_spec(write_pair(folder))
    opponent = opponent_of(spec)
    assert opponent is not None
    return elaborate(spec), opponent


def proof_of(folder: Path, trainer: type[Wrapped]) -> TrainingProof:
    graph, opponent = pair(folder)
    recipe = read_spec(folder / "generator.yaml").training
    return compare_training(graph, [TORCH, Faulty(trainer)], check_weights_of(graph), recipe, opponent=opponent)


def test_a_sound_wrapper_trains_alike(tmp_path: Path) -> None:
    proof = proof_of(tmp_path, Wrapped)
    assert not proof.divergences
    assert all(row.passed for row in proof.comparisons)
    assert {(row.against, row.dtype.value) for row in proof.comparisons} == {
        ("NumPy", "float64"),
        ("torch", "float64"),
        ("torch", "float32"),
    }
    assert all(row.case == "20 steps of adam, 4 × 1x8x8" for row in proof.comparisons)
    assert "; of the discriminator, sgd: learning_rate " in proof.notes[0]


@pytest.mark.parametrize(
    ("trainer", "subject"),
    [
        (GradientOfTheMean, r"(?!discriminator)"),
        (OtherKind, r"(?!discriminator)"),
        (StatisticsFollow, r"bn\.running"),
        (DiscriminatorSteps, r"discriminator/"),
    ],
)
def test_a_fault_of_adversarial_training_alone_is_found(tmp_path: Path, trainer: type[Wrapped], subject: str) -> None:
    (found,) = proof_of(tmp_path, trainer).divergences
    assert found.step == 1
    assert re.match(subject, found.subject), found.subject
    # The update of a discriminator that takes a step too many is wrong by itself already.
    expected = ("NumPy", trap.MOMENTUM) if trainer is DiscriminatorSteps else ("torch", trap.ADVERSARIAL)
    assert (found.against, found.trap) == expected


def test_level_training_compares_a_pair_and_needs_it(tmp_path: Path) -> None:
    graph, opponent = pair(tmp_path)
    recipe = read_spec(tmp_path / "generator.yaml").training
    backends = [TORCH, find_backend("keras")]
    report = verify(graph, backends, "training", recipe=recipe, opponent=opponent)
    assert report.passed
    subjects = [row.subject for row in report.comparisons if row.level == "training"]
    assert any("discriminator/" in subject for subject in subjects)
    with pytest.raises(NetspecError, match="are no map of the pixels"):
        verify(graph, backends, "training")
