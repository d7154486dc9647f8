"""The part of the trainers' suite that is about auxiliary heads, and the trainer that all of the suite is about."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest

from netspec.errors import BackendError
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
    """Tests of a trainer whose network has auxiliary heads; `TrainerConformance` has them too.

    Attributes:
        backend: whose trainer it is.
        precisions: those that it has; it must refuse others.
    """

    backend: ClassVar[Backend]
    precisions: ClassVar[frozenset[Precision]] = frozenset({"float32", "bfloat16"})

    def trainer(self, recipe: Recipe, dtype: DType = DType.FLOAT64, precision: Precision = "float32") -> Trainer:
        """A trainer of the network."""
        settings = TrainerSettings(recipe, normalization(), device="cpu", precision=precision)
        return self.backend.trainer(network().astype(dtype), start(), settings)

    @pytest.mark.parametrize("smoothing", [0.0, 0.1])
    def test_losses_of_auxiliary_heads_are_added(self, smoothing: float) -> None:
        """Each times its weight, smoothed as the main one is, gradients too; a prediction knows nothing of them."""
        graph, batch = network_with_head(), with_masks(batch_of(7))
        begin = start(graph)
        rules = recipe(label_smoothing=smoothing, auxiliary={"side": 0.3})
        learner = self.backend.trainer(graph, begin, TrainerSettings(rules, normalization(), device="cpu"))
        values, _ = values_of(graph, batch, begin)
        wanted = targets(batch, 3, smoothing)
        losses = [cross_entropy(logits, wanted).sum() / 10 for logits in (values["fc2"], values["head"])]
        result = learner.step([batch], 0.0, total=10, key=0, keep_gradients=True)
        assert result.loss == pytest.approx(losses[0] + 0.3 * losses[1], rel=1e-12)
        assert result.wrong == (values["fc2"].argmax(axis=1) != batch.labels).sum()
        own = np.exp(values["head"]) / np.exp(values["head"]).sum(axis=1, keepdims=True)
        assert result.gradients is not None
        slope = 0.3 * (own - wanted).sum(axis=0) / 10
        np.testing.assert_allclose(result.gradients["head.bias"], slope, rtol=1e-10, atol=1e-14)
        gradient = result.gradients["conv.bias"]
        along = slope_of_loss(learner, batch, {"conv.bias": np.eye(1, gradient.size).reshape(-1)}, 10)
        assert gradient[0] == pytest.approx(along, rel=1e-5, abs=1e-8)
        plain = self.trainer(recipe())
        weights = learner.export_state().weights
        plain.import_state(TrainingState({name: weights[name] for name in network().weights}))
        np.testing.assert_allclose(learner.predict(batch.inputs), plain.predict(batch.inputs), rtol=1e-12)

    def test_a_head_without_a_weight_is_refused(self) -> None:
        """And a weight without a head."""
        settings = TrainerSettings(recipe(), normalization(), device="cpu")
        with pytest.raises(BackendError, match="auxiliary outputs side, received none"):
            self.backend.trainer(network_with_head(), start(network_with_head()), settings)
        with pytest.raises(BackendError, match="auxiliary outputs none, received side"):
            self.trainer(recipe(auxiliary={"side": 0.3}))
