"""Conformance tests of trainers: outputs in training, gradients in the input, and steps by given cotangents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from netspec.errors import BackendError
from netspec.graph import Graph
from netspec.lowering import Batch, Trainer, TrainerSettings
from netspec.ops.base import Array
from netspec.testing.head_conformance import HeadConformance
from netspec.testing.networks import Chain
from netspec.testing.trainer_cases import (
    batch_of,
    batch_of_maps,
    bits,
    larger_network,
    network_of_maps,
    recipe,
    start,
    values_of,
    with_masks,
)
from netspec.training.loss import cross_entropy, targets
from netspec.types import DType


def judge_of_features() -> Graph:
    """A classifier of maps that are features, with batch norm, dropout, and a map that is not square."""
    return (
        Chain("judge", facts=(2, 5, 4))
        .add("conv", "conv2d", filters=3, kernel_size=2)
        .add("batch", "batch_norm")
        .add("relu", "relu")
        .add("drop", "dropout", rate=0.25)
        .add("flatten", "flatten")
        .add("fc", "dense", units=3)
        .graph()
        .astype(DType.FLOAT64)
    )


def features_of(samples: int, seed: int) -> Batch:
    """Random features for `judge_of_features`, with labels and masks."""
    random = np.random.default_rng((samples, seed, 5))
    inputs, labels = random.standard_normal((samples, 2, 5, 4)), random.integers(0, 3, samples)
    return with_masks(Batch(inputs, labels, np.arange(samples)), seed, judge_of_features())


def with_cotangents(batch: Batch, seed: int = 0) -> Batch:
    """The batch of `network_of_maps` with cotangents in place of labels."""
    random = np.random.default_rng((13, len(batch.inputs), seed))
    labels = np.zeros(len(batch.inputs), np.int64)
    return replace(batch, labels=labels, weights=None, cotangents=random.standard_normal((len(batch.inputs), 3, 7, 6)))


class DerivativeConformance(HeadConformance):
    """Tests of what adversarial training needs of a trainer; part of `TrainerConformance`."""

    def _judge(self) -> Trainer:
        graph = judge_of_features()
        return self.backend.trainer(graph, start(graph), TrainerSettings(recipe(momentum=0.9), device="cpu"))

    def test_outputs_in_training_change_nothing(self) -> None:
        """They are those of the ops in training mode, by batch. Running statistics stay, and predictions too."""
        graph = network_of_maps()
        trainer = self.trainer(recipe(), graph=graph)
        unlabelled = [replace(with_cotangents(batch_of_maps(n, n)), cotangents=None) for n in (5, 3)]
        before, predicted = bits(trainer.export_state()), trainer.predict(unlabelled[0].inputs)
        outputs = trainer.outputs(unlabelled, key=4)
        for batch, actual in zip(unlabelled, outputs, strict=True):
            values, _ = values_of(graph, batch, start(graph))
            np.testing.assert_allclose(actual, values["pixels"], rtol=1e-10, atol=1e-12)
        assert bits(trainer.export_state()) == before
        np.testing.assert_array_equal(trainer.predict(unlabelled[0].inputs), predicted)

    def test_outputs_are_those_of_the_step_with_their_key(self) -> None:
        """The dropout of a step, whose masks nobody gives, is that of the outputs with the same key, batch by batch."""
        trainer, batches = self.trainer(recipe(), graph=larger_network()), [batch_of(6), batch_of(4)]
        outputs = trainer.outputs(batches, key=5)
        pairs = zip(batches, outputs, strict=True)
        losses = [cross_entropy(logits, targets(batch, 3, 0.0)).sum() for batch, logits in pairs]
        again, other = trainer.outputs(batches, key=5), trainer.outputs(batches, key=6)
        assert all(map(np.array_equal, outputs, again))
        assert not any(map(np.array_equal, outputs, other))
        assert trainer.step(batches, 0.0, 10, key=5).loss == pytest.approx(sum(losses) / 10, rel=1e-10)

    def test_gradients_in_the_input_are_the_slope_of_the_loss(self) -> None:
        """They are of the sum over the samples, whatever the step divides by, and nothing changes."""
        trainer, batches = self._judge(), [features_of(5, 0), features_of(3, 1)]
        trainer.step(batches, 0.1, 8, key=0)
        before = trainer.export_state()
        found = trainer.input_gradients(batches, key=1)
        assert bits(trainer.export_state()) == bits(before)
        result = trainer.step(batches, 0.0, 8, key=1)
        assert found.loss == pytest.approx(8 * result.loss, rel=1e-10)
        assert found.wrong == result.wrong
        trainer.import_state(before)
        random = np.random.default_rng(6)
        directions = [random.standard_normal(batch.inputs.shape) for batch in batches]
        assert [gradient.shape for gradient in found.inputs] == [direction.shape for direction in directions]
        slope = sum(float(np.vdot(g, d)) for g, d in zip(found.inputs, directions, strict=True))
        assert self._slope(trainer, batches, directions) == pytest.approx(slope, rel=1e-6)

    def _slope(self, trainer: Trainer, batches: Sequence[Batch], directions: Sequence[Array]) -> float:
        """The central difference of the summed loss along directions of the inputs."""
        losses = []
        for shift in (1e-5, -1e-5):
            moved = [replace(b, inputs=b.inputs + shift * d) for b, d in zip(batches, directions, strict=True)]
            losses.append(trainer.input_gradients(moved, key=1).loss)
        return (losses[0] - losses[1]) / 2e-5

    def test_gradients_of_images_are_those_of_the_normalized_input(self) -> None:
        """A shift of all pixels of a channel changes the input by itself times the factor of the normalization."""
        graph = larger_network()
        trainer, batch = self.trainer(recipe(), graph=graph), with_masks(batch_of(4), graph=graph)
        (gradient,) = trainer.input_gradients([batch], key=0).inputs
        losses = []
        for shift in (1 / 64, -1 / 64):  # of a channel of each of the first three images; exact in float32
            shifted = replace(batch, shifts=shift * np.eye(4, 3, dtype=np.float32))
            losses.append(trainer.input_gradients([shifted], key=0).loss)
        factors = (1 / 50, 1 / 60, 1 / 70)
        expected = sum(float(gradient[number, number].sum()) * factor for number, factor in enumerate(factors))
        assert gradient.shape == (4, 3, 9, 8)
        assert (losses[0] - losses[1]) * 32 == pytest.approx(expected, rel=1e-3)

    def test_a_step_follows_given_cotangents(self) -> None:
        """The loss is their inner product with the outputs, divided by `total`, and no prediction is wrong."""
        graph = network_of_maps()
        trainer = self.trainer(recipe(momentum=0.9), graph=graph)
        batches = [with_cotangents(batch_of_maps(n, n), n) for n in (5, 3)]
        begin = trainer.export_state()
        result = trainer.step(batches, 0.0, 10, key=0, keep_gradients=True)
        assert result.gradients is not None
        random = np.random.default_rng(8)
        direction = {name: random.standard_normal(g.shape) for name, g in result.gradients.items()}
        products = []
        for shift in (0.0, 1e-5, -1e-5):
            moved = {name: begin.weights[name] + shift * d for name, d in direction.items()}
            trainer.import_state(replace(begin, weights=begin.weights | moved))
            outputs = trainer.outputs(batches, key=0)
            pairs = zip(outputs, batches, strict=True)
            products.append(sum(float(np.vdot(y, b.cotangents)) for y, b in pairs if b.cotangents is not None))
        assert result.loss == pytest.approx(products[0] / 10, rel=1e-10)
        assert result.wrong == 0
        slope = sum(float(np.vdot(result.gradients[name], d)) for name, d in direction.items())
        assert (products[1] - products[2]) / 2e-5 / 10 == pytest.approx(slope, rel=1e-6)

    def test_cotangents_that_do_not_fit_are_refused(self) -> None:
        """Their shape is the output's. Those that are not finite change nothing, as such a loss does."""
        trainer = self.trainer(recipe(momentum=0.9), graph=network_of_maps())
        batch = with_cotangents(batch_of_maps(4))
        assert batch.cotangents is not None
        with pytest.raises(BackendError, match=r"^cotangents: expected shape \(4, 3, 7, 6\), received \(4, 3, 6, 7\)$"):
            trainer.step([replace(batch, cotangents=batch.cotangents.transpose(0, 1, 3, 2))], 0.1, 4, 0)
        before = bits(trainer.export_state())
        bad = replace(batch, cotangents=np.full_like(batch.cotangents, np.nan))
        assert not np.isfinite(trainer.step([bad], 0.1, 4, 0).loss)
        assert bits(trainer.export_state()) == before
