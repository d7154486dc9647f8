"""Conformance tests of trainers: auxiliary heads. Also the base class with the trainer that all parts of it test."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest

from netspec.errors import BackendError
from netspec.graph import Graph
from netspec.lowering import Backend, Trainer, TrainerSettings, TrainingState
from netspec.lowering.trainer import Precision
from netspec.recipe import Recipe
from netspec.testing.trainer_cases import (
    batch_of,
    network,
    network_with_head,
    normalization,
    recipe,
    slope_of_loss,
    start,
    values_of,
    with_masks,
)
from netspec.training.loss import cross_entropy, targets
from netspec.types import DType


class HeadConformance:
    """Tests of networks with auxiliary heads; part of `TrainerConformance`.

    Attributes:
        backend: the backend whose trainer is tested.
        precisions: the precisions that it supports; it must refuse others.
    """

    backend: ClassVar[Backend]
    precisions: ClassVar[frozenset[Precision]] = frozenset({"float32", "bfloat16"})

    def trainer(
        self,
        recipe: Recipe,
        dtype: DType = DType.FLOAT64,
        precision: Precision = "float32",
        graph: Graph | None = None,
    ) -> Trainer:
        """Return a trainer of a graph, by default of `network`, on the CPU."""
        settings = TrainerSettings(recipe, normalization(), device="cpu", precision=precision)
        return self.backend.trainer((graph or network()).astype(dtype), start(graph), settings)

    @pytest.mark.parametrize("smoothing", [0.0, 0.1])
    def test_losses_of_auxiliary_heads_are_added(self, smoothing: float) -> None:
        """Each loss is multiplied by its weight and smoothed as the main one is. Predictions ignore the heads."""
        graph, batch = network_with_head(), with_masks(batch_of(7))
        begin = start(graph)
        rules = recipe(label_smoothing=smoothing, auxiliary={"side": 0.3})
        trainer = self.backend.trainer(graph, begin, TrainerSettings(rules, normalization(), device="cpu"))
        values, _ = values_of(graph, batch, begin)
        expected_targets = targets(batch, 3, smoothing)
        losses = [cross_entropy(logits, expected_targets).sum() / 10 for logits in (values["fc2"], values["head"])]
        result = trainer.step([batch], 0.0, total=10, key=0, keep_gradients=True)
        assert result.loss == pytest.approx(losses[0] + 0.3 * losses[1], rel=1e-12)
        assert result.wrong == (values["fc2"].argmax(axis=1) != batch.labels).sum()
        probabilities = np.exp(values["head"]) / np.exp(values["head"]).sum(axis=1, keepdims=True)
        assert result.gradients is not None
        slope = 0.3 * (probabilities - expected_targets).sum(axis=0) / 10
        np.testing.assert_allclose(result.gradients["head.bias"], slope, rtol=1e-10, atol=1e-14)
        gradient = result.gradients["conv.bias"]
        difference = slope_of_loss(trainer, batch, {"conv.bias": np.eye(1, gradient.size).reshape(-1)}, 10)
        assert gradient[0] == pytest.approx(difference, rel=1e-5, abs=1e-8)
        plain = self.trainer(recipe())
        weights = trainer.export_state().weights
        plain.import_state(TrainingState({name: weights[name] for name in network().weights}))
        np.testing.assert_allclose(trainer.predict(batch.inputs), plain.predict(batch.inputs), rtol=1e-12)

    def test_a_head_without_a_weight_is_refused(self) -> None:
        """A head without a loss weight is refused, and so is a loss weight without a head."""
        settings = TrainerSettings(recipe(), normalization(), device="cpu")
        with pytest.raises(BackendError, match="auxiliary outputs side, received none"):
            self.backend.trainer(network_with_head(), start(network_with_head()), settings)
        with pytest.raises(BackendError, match="auxiliary outputs none, received side"):
            self.trainer(recipe(auxiliary={"side": 0.3}))
