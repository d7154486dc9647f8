"""The part of the trainers' suite that is about the state: what a step leaves, what goes out and what comes in."""

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
    "averaged",
]  # of what is kept from step to step
CARRIED = [*((kind, DType.FLOAT32) for kind in KINDS), ("paper", DType.FLOAT64), ("adam", DType.FLOAT64)]


def assert_close(found: Mapping[str, Array], expected: Mapping[str, Array], tolerance: float, where: str) -> None:
    """Of each array no element differs by more than this share of the largest."""
    assert found.keys() == expected.keys()
    for name, array in found.items():
        largest = np.abs(expected[name]).max()
        np.testing.assert_allclose(array, expected[name], rtol=0, atol=tolerance * largest, err_msg=f"{where}: {name}")


class StateConformance(HeadConformance):
    """Tests of what a trainer keeps and hands over; `TrainerConformance` has them too."""

    def test_a_prediction_is_of_the_averaged_weights(self) -> None:
        """Which are what is exported; training goes on from what they average, and without that from themselves."""
        rules = recipe(**RULES["averaged"])
        learner, batch = self.trainer(rules), batch_of(4)
        for key in range(3):
            learner.step([batch_of(6, key)], 0.1, 6, key)
        state = learner.export_state()
        (iterate,) = (arrays for slot, arrays in state.slots.items() if slot == "iterate")
        predictions = [
            self.backend.load(self.backend.lower(network()), weights).forward({"image": images(batch)})["fc2"]
            for weights in (state.weights, state.weights | iterate)
        ]
        np.testing.assert_allclose(learner.predict(batch.inputs), predictions[0], rtol=1e-12)
        assert np.abs(predictions[1] - predictions[0]).max() > 1e-3 * np.abs(predictions[0]).max()
        assert bits(learner.export_state()) == bits(state)
        gradients = learner.step([batch], 0.1, 4, key=3, keep_gradients=True).gradients
        assert gradients is not None
        found, expected = learner.export_state(), update(rules, state, gradients, 0.1)
        assert_close(found.slots["iterate"], expected.slots["iterate"], 1e-12, "after a prediction")
        learner.import_state(TrainingState(state.weights))
        assert_close(learner.export_state().slots["iterate"], trained(state), 0.0, "without an iterate")

    @pytest.mark.parametrize("parts", [1, 2])
    def test_a_loss_that_is_not_finite_changes_nothing(self, parts: int) -> None:
        """Neither of one batch nor where one before it was sound; and the next step goes on."""
        learner = self.trainer(recipe(momentum=0.9))
        learner.step([batch_of(6)], 0.1, 6, key=0)
        before = learner.export_state()
        good, bad = batch_of(4, shifts=True), batch_of(4, shifts=True)
        assert bad.shifts is not None
        bad.shifts[2] = math.inf
        result = learner.step([good, bad][-parts:], 0.1, 4 * parts, key=1)
        assert not math.isfinite(result.loss)
        after = learner.export_state()
        assert bits(after) == bits(before)
        assert after.updates == 1
        assert math.isfinite(learner.step([good], 0.1, 4, key=1).loss)

    @pytest.mark.parametrize(("rule", "dtype"), CARRIED)
    def test_an_export_continues_to_the_bit(self, rule: str, dtype: DType) -> None:
        """In another trainer, whatever that has seen before."""
        first, second = (self.trainer(recipe(**RULES[rule]), dtype) for _ in range(2))
        for key in range(3):
            first.step([batch_of(6, key)], 0.1, 6, key)
        exported = first.export_state()
        kept = bits(exported)
        second.step([batch_of(5)], 0.1, 5, key=9)
        second.import_state(exported)
        assert bits(second.export_state()) == kept
        for key in range(3, 6):
            results = [learner.step([batch_of(6, key)], 0.01, 6, key) for learner in (first, second)]
            assert results[0] == results[1]
        assert bits(first.export_state()) == bits(second.export_state()) != kept
        assert bits(exported) == kept  # a copy, on both sides
        assert (exported.updates, second.export_state().updates) == (3, 6)

    def test_slots_that_are_not_there_are_zero(self) -> None:
        """As in a state that is nothing but weights."""
        learner = self.trainer(recipe(momentum=0.9))
        learner.step([batch_of(6)], 0.1, 6, key=0)
        learner.import_state(TrainingState(start()))
        state = learner.export_state()
        assert list(state.slots) == ["velocity"]
        assert not any(array.any() for array in state.slots["velocity"].values())
        assert state.updates == 0

    @pytest.mark.parametrize("rule", KINDS)
    def test_features_and_a_rate_of_zero(self, rule: str) -> None:
        """Features go in canonical, in the order of the flatten; at rate 0 a step counts and moves nothing."""
        graph = Chain("maps", facts=(2, 3, 4)).add("flatten", "flatten").add("fc", "dense", units=3).graph()
        random = np.random.default_rng(0)
        weights = {n: random.standard_normal(w.shape).astype(np.float32) for n, w in graph.weights.items()}
        learner = self.backend.trainer(graph, weights, TrainerSettings(recipe(**RULES[rule]), device="cpu"))
        inputs, labels = random.standard_normal((5, 2, 3, 4)), np.array([0, 1, 2, 1, 0])
        logits = inputs.reshape(5, -1) @ weights["fc.weight"].T + weights["fc.bias"]
        np.testing.assert_allclose(learner.predict(inputs), logits, rtol=1e-5, atol=1e-5)
        for _ in range(2):
            result = learner.step([Batch(inputs, labels, np.arange(5))], 0.0, 5, key=0)
        own = np.exp(logits)[np.arange(5), labels] / np.exp(logits).sum(axis=1)
        assert result.loss == pytest.approx(-np.log(own).mean(), rel=1e-5)
        assert all(np.array_equal(a, weights[n]) for n, a in learner.export_state().weights.items())
        assert (learner.device, learner.world, learner.export_state().updates) == ("cpu", 1, 2)
