"""The conformance suite of trainers. A subclass that sets `backend` tests the contract of `Trainer`.

    class TestMyTrainer(TrainerConformance):
        backend = MyBackend()

In float64, the loss and its gradient are compared with the ops' NumPy meanings and `netspec.training.loss`, and updates
with `netspec.training.update`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from netspec.errors import BackendError, WeightsError
from netspec.lowering import Batch, TrainerSettings, TrainingState
from netspec.testing.derivative_conformance import DerivativeConformance
from netspec.testing.map_conformance import MapConformance
from netspec.testing.mixing_conformance import MixingConformance
from netspec.testing.networks import Chain
from netspec.testing.state_conformance import StateConformance, assert_close
from netspec.testing.trainer_cases import (
    ADAM,
    RULES,
    batch_of,
    begun,
    bits,
    images,
    larger_network,
    logits_of,
    masks_of,
    network,
    normalization,
    parts_of,
    rate_of,
    recipe,
    slope_of_loss,
    start,
    trained,
    with_masks,
)
from netspec.training.loss import cross_entropy, targets
from netspec.training.update import update
from netspec.types import DType

ACCUMULATED = [("paper", 3), ("adam", 3)]


class TrainerConformance(MapConformance, MixingConformance, DerivativeConformance, StateConformance):
    """Tests of a backend's trainer. Subclass it and set `backend`.

    Attributes:
        backend: the backend whose trainer is tested.
        precisions: the precisions that it supports; it must refuse others.
    """

    @pytest.mark.parametrize(("rule", "accumulate"), [*((rule, 1) for rule in RULES), *ACCUMULATED])
    def test_fifty_steps_through_two_rate_drops(self, rule: str, accumulate: int) -> None:
        """After 50 steps, weights and slots agree with the reference update rule, applied to the same gradients."""
        rules = recipe(**RULES[rule])
        trainer = self.trainer(rules)
        state = begun(trainer.export_state(), rules.optimizer.slots)
        trainer.import_state(state)
        norms = []
        for step in range(50):
            batches = parts_of(step, accumulate)
            total = sum(len(b.labels) for b in batches)
            gradients = trainer.step(batches, rate_of(step), total, key=step, keep_gradients=True).gradients
            assert gradients is not None
            norms.append(np.sqrt(sum(float((g**2).sum()) for g in gradients.values())))
            state = update(rules, state, gradients, rate_of(step))
        actual = trainer.export_state()
        assert_close(trained(actual), trained(state), 1e-10, rule)
        assert actual.slots.keys() == state.slots.keys()
        for slot, arrays in state.slots.items():
            assert_close(actual.slots[slot], arrays, 1e-10, f"{rule}: {slot}")
        assert actual.updates == 50
        assert "clipping" not in rule or min(norms) < 1.0 < max(norms)  # the test covers both sides of the threshold
        unchanged = {name for name, array in trained(state).items() if np.array_equal(array, start()[name])}
        unchanged -= {"conv.bias"}  # before a batch norm its derivative is rounding alone, and moves it or not
        assert unchanged == ({"fc1.weight", "fc1.bias", "dead.bias"} if "overrides" in rule else set())

    @pytest.mark.parametrize("rule", ["paper", "paper, nesterov", "torch"])
    def test_slots_are_as_exact_at_any_rate(self, rule: str) -> None:
        """Slots are accurate at any learning rate. A kernel that computes 1 - rate loses the digits of a small rate."""
        rules = recipe(**RULES[rule])
        trainer = self.trainer(rules)
        state = trainer.export_state()
        for rate in (1e-9, 1e-4, 1e-2, 0.5, 3.0):
            trainer.import_state(state)
            gradients = trainer.step(parts_of(0, 1), rate, 3, key=0, keep_gradients=True).gradients
            assert gradients is not None
            expected = update(rules, state, gradients, rate).slots
            assert_close(trainer.export_state().slots["velocity"], expected["velocity"], 1e-12, f"{rule}, {rate:g}")

    @pytest.mark.parametrize("name", ["adam", "adamw"])
    def test_adam_is_as_exact_in_float32(self, name: str) -> None:
        """Adam is accurate in float32, where 1 − β2 and the bias correction easily lose four digits."""
        rules = recipe(optimizer=ADAM | {"name": name})
        trainer = self.trainer(rules, DType.FLOAT32)
        state = TrainingState({n: a.astype(np.float64) for n, a in trainer.export_state().weights.items()})
        for step in range(5):
            gradients = trainer.step([batch_of(6, step)], 1.0, 6, key=step, keep_gradients=True).gradients
            assert gradients is not None
            state = update(rules, state, {n: g.astype(np.float64) for n, g in gradients.items()}, 1.0)
        assert_close(trained(trainer.export_state()), trained(state), 1e-6, name)

    def test_accumulated_gradients_are_those_of_the_whole(self) -> None:
        """Losses and gradients of a step's batches add up. Each batch is normalized by its own statistics."""
        trainer = self.trainer(recipe())
        batches = parts_of(0, 3)
        accumulated = trainer.step(batches, 0.0, 12, key=0, keep_gradients=True)
        single = [trainer.step([b], 0.0, 12, key=0, keep_gradients=True) for b in batches]
        assert accumulated.loss == pytest.approx(sum(result.loss for result in single), rel=1e-12)
        assert accumulated.wrong == sum(result.wrong for result in single)
        assert accumulated.gradients is not None
        for name, gradient in accumulated.gradients.items():
            expected = sum(result.gradients[name] for result in single if result.gradients)
            np.testing.assert_allclose(gradient, expected, rtol=1e-10, atol=1e-14)

    @pytest.mark.parametrize("smoothing", [0.0, 0.1])
    def test_loss_and_statistics_are_those_of_the_ops(self, smoothing: float) -> None:
        """Shifts, dropout masks, batch statistics and label smoothing apply. The loss is divided by `total`."""
        graph = larger_network()
        batch = with_masks(batch_of(7, shifts=True), graph=graph)
        trainer = self.trainer(recipe(label_smoothing=smoothing), graph=graph)
        logits, statistics = logits_of(batch)
        losses = cross_entropy(logits, targets(batch, 3, smoothing))
        result = trainer.step([batch], 0.0, total=10, key=0)
        assert result.loss == pytest.approx(losses.sum() / 10, rel=1e-12)
        assert result.wrong == (logits.argmax(axis=1) != batch.labels).sum()
        assert result.gradients is None
        after = trainer.export_state().weights
        for name, array in after.items():
            np.testing.assert_allclose(array, statistics.get(name, start(graph)[name]), rtol=1e-12, atol=1e-14)

    def test_gradient_is_the_slope_of_the_loss(self) -> None:
        """The returned gradient is neither clipped nor decayed. It is zero for a weight that the loss does not use."""
        graph = larger_network()
        batch = with_masks(batch_of(5), graph=graph)
        trainer = self.trainer(recipe(clip_gradient_norm=1e-3, weight_decay=0.5), graph=graph)
        random = np.random.default_rng(3)
        begin = trainer.export_state()
        gradients = trainer.step([batch], 0.0, 5, key=0, keep_gradients=True).gradients
        assert gradients is not None
        assert list(gradients) == list(trained(begin, graph))
        assert not gradients["dead.weight"].any()
        direction = {name: random.standard_normal(g.shape) for name, g in gradients.items()}
        slope = sum(float(np.vdot(gradients[name], d)) for name, d in direction.items())
        assert slope_of_loss(trainer, batch, direction, 5) == pytest.approx(slope, rel=1e-7)

    def test_predict_is_what_the_model_gives(self) -> None:
        """Predictions are those of the loaded model, also after training steps, and for an empty batch."""
        batch, graph = batch_of(4), larger_network()
        model = self.backend.load(self.backend.lower(graph), start(graph))
        trainer = self.trainer(recipe(), graph=graph)
        trainer.step([batch_of(6)], 0.1, 6, key=1)
        trainer.import_state(TrainingState(start(graph)))
        expected = model.forward({"image": images(batch)})["fc2"]
        np.testing.assert_allclose(trainer.predict(batch.inputs), expected, rtol=1e-12)
        assert trainer.predict(batch.inputs[:0]).shape == (0, 3)
        assert self.trainer(recipe(), DType.FLOAT32).predict(batch.inputs).dtype == np.float32

    def test_a_key_decides_what_is_dropped(self) -> None:
        """The key determines the dropout masks. Each batch of a step gets different masks."""
        trainer, batch = self.trainer(recipe(), graph=larger_network()), batch_of(8)
        first, again, other = (trainer.step([batch], 0.0, 8, key).loss for key in (5, 5, 2**63 - 1))
        assert first == again != other
        two = trainer.step([batch, batch], 0.0, 8, key=5).loss
        assert two == pytest.approx(2 * first, rel=0.5)
        assert two != 2 * first  # the second batch has different masks

    def test_masks_are_for_their_batch_alone(self) -> None:
        """A step may have a batch with masks and one without. The masks apply to their batch only."""
        batch, graph = batch_of(8), larger_network()
        masks = masks_of(batch, graph=graph)
        all_dropped = replace(batch, masks={name: np.zeros_like(mask) for name, mask in masks.items()})
        trainer = self.trainer(recipe(), graph=graph)
        steps = ([all_dropped], [batch], [batch, all_dropped], [all_dropped, batch])
        dropped, drawn, masked_last, masked_first = (trainer.step(batches, 0.0, 8, key=0).loss for batches in steps)
        assert masked_last == pytest.approx(drawn + dropped, rel=1e-12)
        assert masked_first != pytest.approx(2 * dropped, rel=1e-3)

    def test_a_batch_without_samples_has_no_part(self) -> None:
        """An empty batch changes nothing, and is no step. Some rank may have one at the end of an epoch."""
        with_empty, without = self.trainer(recipe()), self.trainer(recipe())
        assert with_empty.step([batch_of(6), batch_of(0)], 0.1, 6, 0) == without.step([batch_of(6)], 0.1, 6, 0)
        assert bits(with_empty.export_state()) == bits(without.export_state())
        with pytest.raises(BackendError, match=r"^a step needs at least one sample, received none$"):
            without.step([batch_of(0)], 0.1, 1, 0)

    def test_bfloat16_is_for_layers_alone(self) -> None:
        """Loss and gradient are less accurate, weights and slots stay in float32. Without bfloat16, it is refused."""
        rules, graph = recipe(momentum=0.9), larger_network()
        batch = with_masks(batch_of(8), graph=graph)
        with pytest.raises(BackendError, match="bfloat16"):
            self.trainer(rules, DType.FLOAT64, "bfloat16")
        if "bfloat16" not in self.precisions:
            with pytest.raises(BackendError, match="bfloat16"):
                self.trainer(rules, DType.FLOAT32, "bfloat16")
            return
        trainer, in_float64 = self.trainer(rules, DType.FLOAT32, "bfloat16", graph), self.trainer(rules, graph=graph)
        exact, result = (each.step([batch], 0.01, 8, 0, keep_gradients=True) for each in (in_float64, trainer))
        assert result.loss == pytest.approx(exact.loss, rel=0.02)
        assert result.loss != pytest.approx(exact.loss, rel=1e-6)
        actual, expected = (np.concatenate([g.ravel() for g in (r.gradients or {}).values()]) for r in (result, exact))
        assert actual.dtype == np.float32
        assert np.linalg.norm(actual - expected) <= 0.05 * np.linalg.norm(expected)
        state = trainer.export_state()
        arrays = [*state.weights.values(), *state.slots["velocity"].values(), trainer.predict(batch.inputs)]
        assert {array.dtype for array in arrays} == {np.dtype(np.float32)}
        assert any("bfloat16" in note for note in trainer.notes)

    def test_settings_that_do_not_fit_are_refused(self) -> None:
        """A normalization for images of another size, or for features, and a network without weights raise."""
        settings = TrainerSettings(recipe(), normalization(), "cpu")
        wide = replace(settings, normalization=normalization()._replace(mean=np.zeros((3, 8, 9), np.float32)))
        with pytest.raises(BackendError, match=r"mean of shape \(3, 8, 9\) does not fit the input \(N, 3, 9, 8\)$"):
            self.backend.trainer(network(), start(), wide)
        learned, still = Chain("facts", facts=(4,)), Chain("still", facts=(4,))
        for graph, mistake in (
            (learned.add("fc", "dense", units=3).graph(), r"mean of shape .* does not fit the input \(N, 4\)$"),
            (still.add("norm", "batch_norm", affine=False).graph(), "still has no weights to train"),
        ):
            weights = {name: np.ones(w.shape, np.float32) for name, w in graph.weights.items()}
            with pytest.raises(BackendError, match=mistake):
                self.backend.trainer(graph, weights, settings)

    def test_mismatches_are_refused(self) -> None:
        """Images, masks, labels and states that do not match the network or the optimizer raise."""
        graph = larger_network()
        trainer, batch = self.trainer(recipe(), graph=graph), batch_of(4)
        masks, state = masks_of(batch, graph=graph), trainer.export_state()
        with pytest.raises(BackendError, match=r"^images: expected shape \(9, 8, 3\), received \(8, 8, 3\)$"):
            trainer.predict(batch.inputs[:, 1:])
        with pytest.raises(BackendError, match=r"^images: expected uint8, received float32$"):
            trainer.predict(batch.inputs.astype(np.float32))
        with pytest.raises(BackendError, match=r"^shifts: expected shape \(4, 3\), received \(4, 1\)$"):
            trainer.step([replace(batch, shifts=np.zeros((4, 1), np.float32), masks=masks)], 0.1, 4, 0)
        with pytest.raises(BackendError, match=r"masks of the dropout nodes drop, drop_map, units.*, received drop$"):
            trainer.step([replace(batch, masks={"drop": masks["drop"]})], 0.1, 4, 0)
        with pytest.raises(BackendError, match=r"the mask of drop: expected shape \(4, 168\), received \(3, 168\)"):
            trainer.step([replace(batch, masks=masks | {"drop": masks["drop"][1:]})], 0.1, 4, 0)
        with pytest.raises(BackendError, match=r"^labels: expected shape \(4,\), received \(3,\)$"):
            trainer.step([replace(batch, labels=batch.labels[1:], masks=masks)], 0.1, 4, 0)
        for label in (-100, 3):  # PyTorch silently ignores -100
            with pytest.raises(BackendError, match=f"expected labels 0 to 2, received {label}"):
                trainer.step([replace(batch, labels=np.array([0, label, 1, 2]), masks=masks)], 0.1, 4, 0)
        with pytest.raises(WeightsError, match=r"missing: conv\.bias"):
            trainer.import_state(TrainingState({n: a for n, a in state.weights.items() if n != "conv.bias"}))
        with pytest.raises(WeightsError, match=r"received .*velocity"):
            trainer.import_state(replace(state, slots={"velocity": {}}))
        trainer = self.trainer(recipe(momentum=0.9), graph=graph)
        with pytest.raises(WeightsError, match=r"velocity of conv\.bias: expected shape \(4,\), received \(3,\)"):
            trainer.import_state(replace(state, slots={"velocity": {"conv.bias": np.zeros(3)}}))
        with pytest.raises(
            WeightsError, match=r"velocity of batch\.running_mean: expected no trainable weight of this name"
        ):
            trainer.import_state(replace(state, slots={"velocity": {"batch.running_mean": np.zeros(4)}}))
        flat = Chain("flat", facts=(4,)).add("norm", "batch_norm").add("fc", "dense", units=3).graph()
        weights = {name: np.ones(w.shape, np.float32) for name, w in flat.weights.items()}
        trainer = self.backend.trainer(flat, weights, TrainerSettings(recipe(), device="cpu"))
        with pytest.raises(BackendError, match=r"^norm: batch normalization in training needs more than one value"):
            trainer.step([Batch(np.ones((1, 4)), np.array([0]), np.array([0]))], 0.1, 1, 0)
