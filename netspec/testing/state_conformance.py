"""Conformance tests of trainers: the training state, its export and its import."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest

from netspec.lowering import Batch, TrainerSettings, TrainingState
from netspec.ops.base import Array
from netspec.testing.head_conformance import HeadConformance
from netspec.testing.networks import Chain
from netspec.testing.trainer_cases import (
    RULES,
    batch_of,
    bits,
    images,
    larger_network,
    network,
    recipe,
    start,
    trained,
)
from netspec.training.update import update
from netspec.types import DType

KINDS = [
    "paper",
    "paper, nesterov",
    "torch",
    "adam",
    "adamw",
    "rmsprop",
    "rmsprop, torch",
    "levenberg-marquardt",
    "averaged",
]  # the entries of `RULES` that differ in the slots of their state
CARRIED = [*((kind, DType.FLOAT32) for kind in KINDS), ("paper", DType.FLOAT64), ("adam", DType.FLOAT64)]


def assert_close(actual: Mapping[str, Array], expected: Mapping[str, Array], tolerance: float, label: str) -> None:
    """Assert that all arrays agree, with a tolerance relative to the largest element of each array."""
    assert actual.keys() == expected.keys()
    for name, array in actual.items():
        largest = np.abs(expected[name]).max()
        np.testing.assert_allclose(array, expected[name], rtol=0, atol=tolerance * largest, err_msg=f"{label}: {name}")


class StateConformance(HeadConformance):
    """Tests of the training state; part of `TrainerConformance`."""

    def test_a_prediction_is_of_the_averaged_weights(self) -> None:
        """The exported weights are the averages too. Training continues from the iterate, or from them without it."""
        rules = recipe(**RULES["averaged"])
        trainer, batch = self.trainer(rules), batch_of(4)
        for key in range(3):
            trainer.step([batch_of(6, key)], 0.1, 6, key)
        state = trainer.export_state()
        (iterate,) = (arrays for slot, arrays in state.slots.items() if slot == "iterate")
        predictions = [
            self.backend.load(self.backend.lower(network()), weights).forward({"image": images(batch)})["fc2"]
            for weights in (state.weights, state.weights | iterate)
        ]
        np.testing.assert_allclose(trainer.predict(batch.inputs), predictions[0], rtol=1e-12)
        assert np.abs(predictions[1] - predictions[0]).max() > 1e-3 * np.abs(predictions[0]).max()
        assert bits(trainer.export_state()) == bits(state)
        gradients = trainer.step([batch], 0.1, 4, key=3, keep_gradients=True).gradients
        assert gradients is not None
        actual, expected = trainer.export_state(), update(rules, state, gradients, 0.1)
        assert_close(actual.slots["iterate"], expected.slots["iterate"], 1e-12, "after a prediction")
        trainer.import_state(TrainingState(state.weights))
        assert_close(trainer.export_state().slots["iterate"], trained(state), 0.0, "without an iterate")

    @pytest.mark.parametrize("parts", [1, 2])
    def test_a_loss_that_is_not_finite_changes_nothing(self, parts: int) -> None:
        """The state is unchanged, also if an earlier batch of the step was finite. The next step works."""
        trainer = self.trainer(recipe(momentum=0.9))
        trainer.step([batch_of(6)], 0.1, 6, key=0)
        before = trainer.export_state()
        good, bad = batch_of(4, shifts=True), batch_of(4, shifts=True)
        assert bad.shifts is not None
        bad.shifts[2] = math.inf
        result = trainer.step([good, bad][-parts:], 0.1, 4 * parts, key=1)
        assert not math.isfinite(result.loss)
        after = trainer.export_state()
        assert bits(after) == bits(before)
        assert after.updates == 1
        assert math.isfinite(trainer.step([good], 0.1, 4, key=1).loss)

    @pytest.mark.parametrize(("rule", "dtype"), CARRIED)
    def test_an_export_continues_to_the_bit(self, rule: str, dtype: DType) -> None:
        """Another trainer that imports the state continues bit for bit, whatever it has trained before."""
        graph = network() if dtype is DType.FLOAT32 else larger_network()
        first, second = (self.trainer(recipe(**RULES[rule]), dtype, graph=graph) for _ in range(2))
        for key in range(3):
            first.step([batch_of(6, key)], 0.1, 6, key)
        exported = first.export_state()
        exported_bits = bits(exported)
        second.step([batch_of(5)], 0.1, 5, key=9)
        second.import_state(exported)
        assert bits(second.export_state()) == exported_bits
        for key in range(3, 6):
            results = [trainer.step([batch_of(6, key)], 0.01, 6, key) for trainer in (first, second)]
            assert results[0] == results[1]
        assert bits(first.export_state()) == bits(second.export_state()) != exported_bits
        assert bits(exported) == exported_bits  # neither trainer modified it
        assert (exported.updates, second.export_state().updates) == (3, 6)

    def test_slots_that_are_not_there_are_zero(self) -> None:
        """A state of only weights resets the slots."""
        trainer = self.trainer(recipe(momentum=0.9))
        trainer.step([batch_of(6)], 0.1, 6, key=0)
        trainer.import_state(TrainingState(start()))
        state = trainer.export_state()
        assert list(state.slots) == ["velocity"]
        assert not any(array.any() for array in state.slots["velocity"].values())
        assert state.updates == 0

    @pytest.mark.parametrize("rule", KINDS)
    def test_features_and_a_rate_of_zero(self, rule: str) -> None:
        """Features are read in the canonical order of the flatten. A step at rate 0 counts, but changes no weight."""
        graph = Chain("maps", facts=(2, 3, 4)).add("flatten", "flatten").add("fc", "dense", units=3).graph()
        random = np.random.default_rng(0)
        weights = {n: random.standard_normal(w.shape).astype(np.float32) for n, w in graph.weights.items()}
        trainer = self.backend.trainer(graph, weights, TrainerSettings(recipe(**RULES[rule]), device="cpu"))
        inputs, labels = random.standard_normal((5, 2, 3, 4)), np.array([0, 1, 2, 1, 0])
        logits = inputs.reshape(5, -1) @ weights["fc.weight"].T + weights["fc.bias"]
        np.testing.assert_allclose(trainer.predict(inputs), logits, rtol=1e-5, atol=1e-5)
        for _ in range(2):
            result = trainer.step([Batch(inputs, labels, np.arange(5))], 0.0, 5, key=0)
        probabilities = np.exp(logits)[np.arange(5), labels] / np.exp(logits).sum(axis=1)
        assert result.loss == pytest.approx(-np.log(probabilities).mean(), rel=1e-5)
        assert all(np.array_equal(a, weights[n]) for n, a in trainer.export_state().weights.items())
        assert (trainer.device, trainer.world, trainer.export_state().updates) == ("cpu", 1, 2)
