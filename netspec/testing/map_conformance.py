"""Conformance tests of trainers: segmentation networks, which classify each pixel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from netspec.errors import BackendError
from netspec.lowering import Batch, Trainer, TrainerSettings
from netspec.lowering.batch import UNLABELLED
from netspec.ops.base import Array
from netspec.recipe import Recipe
from netspec.testing.head_conformance import HeadConformance
from netspec.testing.trainer_cases import (
    batch_of_maps,
    images,
    network_of_maps,
    normalization,
    recipe,
    slope_of_loss,
    start,
    values_of,
)


class MapConformance(HeadConformance):
    """Tests of networks whose labels are maps; part of `TrainerConformance`."""

    def trainer_of_maps(self, recipe: Recipe) -> Trainer:
        """Return a trainer of `network_of_maps`, on the CPU."""
        graph = network_of_maps()
        return self.backend.trainer(graph, start(graph), TrainerSettings(recipe, normalization(), device="cpu"))

    @pytest.mark.parametrize("smoothing", [0.0, 0.1])
    @pytest.mark.parametrize("weighted", [True, False])
    def test_loss_of_a_map_is_the_mean_over_its_labelled_pixels(self, smoothing: float, weighted: bool) -> None:
        """Each pixel counts by its weight. Unlabelled pixels, even a whole map of them, do not contribute."""
        batch = batch_of_maps(5, weighted=weighted)
        trainer = self.trainer_of_maps(recipe(label_smoothing=smoothing))
        result = trainer.step([batch], 0.0, total=10, key=0, keep_gradients=True)
        loss, wrong, slopes = _by_definition(batch, smoothing)
        assert result.loss == pytest.approx(loss / 10, rel=1e-12)
        assert result.wrong == pytest.approx(wrong, rel=1e-12)
        assert 0 < wrong < len(batch.labels) - 1
        assert result.gradients is not None
        bias_gradient = result.gradients["pixels.bias"]
        np.testing.assert_allclose(bias_gradient, slopes.sum(axis=(0, 2, 3)) / 10, rtol=1e-10, atol=1e-14)
        gradient = result.gradients["conv.weight"]
        direction = np.random.default_rng(4).standard_normal(gradient.shape)
        slope = slope_of_loss(trainer, batch, {"conv.weight": direction}, 10)
        assert slope == pytest.approx(float(np.vdot(gradient, direction)), rel=1e-6)

    def test_maps_of_several_batches_add_up(self) -> None:
        """The losses of batches add up. A map without labels still counts in `total`, with a loss of 0."""
        trainer = self.trainer_of_maps(recipe())
        batches = [batch_of_maps(3, seed=1), batch_of_maps(2, seed=2, weighted=False)]
        both = trainer.step(batches, 0.0, 5, key=0)
        separate = [trainer.step([batch], 0.0, 5, key=0, keep_gradients=True) for batch in batches]
        assert both.loss == pytest.approx(sum(result.loss for result in separate), rel=1e-12)
        assert both.wrong == pytest.approx(sum(result.wrong for result in separate), rel=1e-12)
        unlabelled = replace(batches[0], labels=np.full_like(batches[0].labels, UNLABELLED))
        result = trainer.step([unlabelled], 0.0, 3, key=0, keep_gradients=True)
        assert (result.loss, result.wrong) == (0.0, 0.0)
        assert result.gradients is not None
        assert not any(array.any() for array in result.gradients.values())

    def test_a_map_is_predicted_as_the_model_gives_it(self) -> None:
        """Predictions are in the canonical layout (N, classes, H, W), also for an empty batch."""
        trainer, batch = self.trainer_of_maps(recipe()), batch_of_maps(4)
        graph = network_of_maps()
        model = self.backend.load(self.backend.lower(graph), start(graph))
        expected = model.forward({"image": images(batch)})["pixels"]
        predicted = trainer.predict(batch.inputs)
        assert predicted.shape == (4, 3, 7, 6)
        np.testing.assert_allclose(predicted, expected, rtol=1e-12, atol=1e-14)
        assert trainer.predict(batch.inputs[:0]).shape == (0, 3, 7, 6)

    def test_maps_that_do_not_fit_are_refused(self) -> None:
        """Labels or weights that differ in size from the logits raise."""
        trainer, batch = self.trainer_of_maps(recipe()), batch_of_maps(4)
        assert batch.weights is not None
        with pytest.raises(BackendError, match=r"labels: expected shape \(4, 7, 6\), received \(4, 7, 5\)"):
            trainer.step([replace(batch, labels=batch.labels[..., 1:])], 0.1, 4, 0)
        with pytest.raises(BackendError, match=r"weights of pixels: expected shape \(4, 7, 6\), received \(4, 6, 6\)"):
            trainer.step([replace(batch, weights=batch.weights[:, 1:])], 0.1, 4, 0)


def _by_definition(batch: Batch, smoothing: float) -> tuple[float, float, Array]:
    """Return the sum of the losses, the sum of the shares of wrong pixels, and the gradient of the logits."""
    logits = values_of(network_of_maps(), batch, start(network_of_maps()))[0]["pixels"]
    loss, wrong, slopes = 0.0, 0.0, np.zeros_like(logits)
    for sample, labels in enumerate(batch.labels):
        known = np.argwhere(labels != UNLABELLED)
        for row, column in known:
            scores = logits[sample, :, row, column]
            probabilities = np.exp(scores) / np.exp(scores).sum()
            target = np.eye(3)[labels[row, column]] * (1 - smoothing) + smoothing / 3
            weight = 1.0 if batch.weights is None else float(batch.weights[sample, row, column])
            loss -= weight * float(target @ np.log(probabilities)) / len(known)
            wrong += float(scores.argmax() != labels[row, column]) / len(known)
            slopes[sample, :, row, column] = weight * (probabilities - target) / len(known)
    return loss, wrong, slopes
