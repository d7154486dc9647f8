"""Conformance tests of trainers: samples mixed of two, with float32 pixels and two labels each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from netspec.errors import BackendError
from netspec.lowering import Batch, TrainerSettings
from netspec.testing.head_conformance import HeadConformance
from netspec.testing.trainer_cases import (
    batch_of,
    mixed_batch_of,
    network_with_head,
    normalization,
    recipe,
    slope_of_loss,
    start,
    values_of,
    with_masks,
)
from netspec.training.loss import cross_entropy, targets


class MixingConformance(HeadConformance):
    """Tests of mixed samples; part of `TrainerConformance`."""

    @pytest.mark.parametrize("smoothing", [0.0, 0.1])
    def test_the_loss_of_mixed_samples_is_that_of_their_shares(self, smoothing: float) -> None:
        """The loss and gradient of every output weigh both labels. Errors count by the label with the larger share.

        The inputs of the batch are not modified.
        """
        graph, batch = network_with_head(), with_masks(mixed_batch_of(7, seed=3))
        begin, inputs_before = start(graph), batch.inputs.copy()
        rules = recipe(label_smoothing=smoothing, auxiliary={"side": 0.3})
        trainer = self.backend.trainer(graph, begin, TrainerSettings(rules, normalization(), device="cpu"))
        values, _ = values_of(graph, batch, begin)
        expected_targets = targets(batch, 3, smoothing)
        outputs = (("fc2", 1.0), ("head", 0.3))
        result = trainer.step([batch], 0.0, total=10, key=0, keep_gradients=True)
        loss = sum(weight * cross_entropy(values[name], expected_targets).sum() for name, weight in outputs)
        assert result.loss == pytest.approx(loss / 10, rel=1e-12)
        predicted = values["fc2"].argmax(axis=1)
        wrong, wrong_by_partners = ((predicted != labels).sum() for labels in (batch.labels, batch.partners))
        assert result.wrong == wrong != wrong_by_partners
        assert result.gradients is not None
        for name, weight in outputs:
            probabilities = np.exp(values[name]) / np.exp(values[name]).sum(axis=1, keepdims=True)
            slope = weight * (probabilities - expected_targets).sum(axis=0) / 10
            np.testing.assert_allclose(result.gradients[f"{name}.bias"], slope, rtol=1e-10, atol=1e-14)
        np.testing.assert_array_equal(batch.inputs, inputs_before)

    def test_mixed_batches_go_beside_others(self) -> None:
        """A step may have mixed and plain batches. A share of 1 in float32 is equivalent to a plain uint8 batch."""
        trainer = self.trainer(recipe())
        plain, mixed = with_masks(batch_of(4, shifts=True)), with_masks(mixed_batch_of(5))
        unmixed = replace(
            plain, inputs=plain.inputs.astype(np.float32), partners=(plain.labels + 1) % 3, shares=np.ones(4)
        )
        loss_of_plain, loss_of_mixed = (trainer.step([batch], 0.0, 9, key=0).loss for batch in (plain, mixed))
        assert trainer.step([unmixed], 0.0, 9, key=0).loss == pytest.approx(loss_of_plain, rel=1e-12)
        for batches in ([plain, mixed], [mixed, plain], [unmixed, mixed]):
            loss = trainer.step(batches, 0.0, 9, key=0).loss
            assert loss == pytest.approx(loss_of_plain + loss_of_mixed, rel=1e-12)

    def test_the_gradient_of_mixed_samples_is_the_slope_of_their_loss(self) -> None:
        """The gradient agrees with a finite difference along a random direction of all weights."""
        batch, trainer = with_masks(mixed_batch_of(7, seed=3)), self.trainer(recipe(label_smoothing=0.1))
        random = np.random.default_rng(3)
        gradients = trainer.step([batch], 0.0, 7, key=0, keep_gradients=True).gradients
        assert gradients is not None
        direction = {name: random.standard_normal(g.shape) for name, g in gradients.items()}
        slope = sum(float(np.vdot(gradients[name], d)) for name, d in direction.items())
        assert slope_of_loss(trainer, batch, direction, 7) == pytest.approx(slope, rel=1e-7)

    def test_mixed_batches_that_do_not_fit_are_refused(self) -> None:
        """Images of another dtype raise, and so do partners and shares that do not match the samples."""
        trainer, batch = self.trainer(recipe()), mixed_batch_of(4)
        with pytest.raises(BackendError, match=r"expected .*uint8 or float32.*, received float64"):
            trainer.step([replace(batch, inputs=batch.inputs.astype(np.float64))], 0.1, 4, 0)
        assert batch.partners is not None
        assert batch.shares is not None
        for partners, shares in ((batch.partners, None), (None, batch.shares), (batch.partners, batch.shares[:1])):
            with pytest.raises(
                BackendError, match=r"partners and shares: expected neither, or shapes \(4,\) and \(4,\)"
            ):
                Batch(batch.inputs, batch.labels, batch.rows, partners=partners, shares=shares)
