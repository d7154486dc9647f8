"""The part of the trainers' suite that is about samples mixed of two: pixels that are no whole numbers, two labels."""

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
    """Tests of a trainer on mixed samples; `TrainerConformance` has them too."""

    @pytest.mark.parametrize("smoothing", [0.0, 0.1])
    def test_the_loss_of_mixed_samples_is_that_of_their_shares(self, smoothing: float) -> None:
        """Of all outputs, with its gradient; misses are counted by the larger share; and the batch stays as it was."""
        graph, batch = network_with_head(), with_masks(mixed_batch_of(7, seed=3))
        begin, kept = start(graph), batch.inputs.copy()
        rules = recipe(label_smoothing=smoothing, auxiliary={"side": 0.3})
        learner = self.backend.trainer(graph, begin, TrainerSettings(rules, normalization(), device="cpu"))
        values, _ = values_of(graph, batch, begin)
        wanted = targets(batch, 3, smoothing)
        result = learner.step([batch], 0.0, total=10, key=0, keep_gradients=True)
        loss = sum(w * cross_entropy(values[name], wanted).sum() for name, w in (("fc2", 1.0), ("head", 0.3)))
        assert result.loss == pytest.approx(loss / 10, rel=1e-12)
        missed, other = ((values["fc2"].argmax(axis=1) != each).sum() for each in (batch.labels, batch.partners))
        assert result.wrong == missed != other
        assert result.gradients is not None
        for name, weight in (("fc2", 1.0), ("head", 0.3)):
            own = np.exp(values[name]) / np.exp(values[name]).sum(axis=1, keepdims=True)
            slope = weight * (own - wanted).sum(axis=0) / 10
            np.testing.assert_allclose(result.gradients[f"{name}.bias"], slope, rtol=1e-10, atol=1e-14)
        np.testing.assert_array_equal(batch.inputs, kept)

    def test_mixed_batches_go_beside_others(self) -> None:
        """Among those of one step; a share of 1 is the label alone, and pixels in float32 are those in uint8."""
        learner, plain, mixed = (
            self.trainer(recipe()),
            with_masks(batch_of(4, shifts=True)),
            with_masks(mixed_batch_of(5)),
        )
        whole = replace(
            plain, inputs=plain.inputs.astype(np.float32), partners=(plain.labels + 1) % 3, shares=np.ones(4)
        )
        alone, second = (learner.step([batch], 0.0, 9, key=0).loss for batch in (plain, mixed))
        assert learner.step([whole], 0.0, 9, key=0).loss == pytest.approx(alone, rel=1e-12)
        for batches in ([plain, mixed], [mixed, plain], [whole, mixed]):
            assert learner.step(batches, 0.0, 9, key=0).loss == pytest.approx(alone + second, rel=1e-12)

    def test_the_gradient_of_mixed_samples_is_the_slope_of_their_loss(self) -> None:
        """In all weights at once."""
        batch, learner = with_masks(mixed_batch_of(7, seed=3)), self.trainer(recipe(label_smoothing=0.1))
        random = np.random.default_rng(3)
        gradients = learner.step([batch], 0.0, 7, key=0, keep_gradients=True).gradients
        assert gradients is not None
        direction = {name: random.standard_normal(g.shape) for name, g in gradients.items()}
        slope = sum(float(np.vdot(gradients[name], d)) for name, d in direction.items())
        assert slope_of_loss(learner, batch, direction, 7) == pytest.approx(slope, rel=1e-7)

    def test_mixed_batches_that_do_not_fit_are_said(self) -> None:
        """Of images in another dtype, and whoever makes a batch whose shares are not its samples'."""
        learner, batch = self.trainer(recipe()), mixed_batch_of(4)
        with pytest.raises(BackendError, match=r"expected .*uint8 or float32.*, received float64"):
            learner.step([replace(batch, inputs=batch.inputs.astype(np.float64))], 0.1, 4, 0)
        assert batch.partners is not None
        assert batch.shares is not None
        for partners, shares in ((batch.partners, None), (None, batch.shares), (batch.partners, batch.shares[:1])):
            with pytest.raises(
                BackendError, match=r"partners and shares: expected neither, or shapes \(4,\) and \(4,\)"
            ):
                Batch(batch.inputs, batch.labels, batch.rows, partners=partners, shares=shares)
