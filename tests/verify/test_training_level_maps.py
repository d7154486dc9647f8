"""A trainer with a wrong loss of maps is detected, and two correct ones agree in training on pixels."""

from dataclasses import replace

import numpy as np
import pytest

from netspec.graph import Graph
from netspec.lowering import Batch, find_backend
from netspec.testing.networks import Chain
from netspec.verify.cases import check_weights_of
from netspec.verify.training import compare_training
from tests.verify.faulty_trainers import TrainingFault, WrongTraining

TORCH = find_backend("torch")


def of_pixels() -> Graph:
    return (
        Chain("pixels", image=(3, 7, 6))
        .add("conv", "conv2d", filters=4, kernel_size=3)
        .add("norm", "batch_norm")
        .add("relu", "relu")
        .add("head", "conv2d", filters=3, kernel_size=1)
        .graph()
    )


def mirrored_labels(batch: Batch) -> Batch:
    return replace(batch, labels=batch.labels[:, :, ::-1])


def labelled_everywhere(batch: Batch) -> Batch:
    return replace(batch, labels=np.maximum(batch.labels, 0))


@pytest.mark.parametrize(
    "fault",
    [
        TrainingFault("mirrored labels", batch=mirrored_labels),
        TrainingFault("labelled everywhere", batch=labelled_everywhere),
        TrainingFault("no weights of pixels", batch=lambda batch: replace(batch, weights=None)),
    ],
    ids=lambda fault: fault.name,
)
def test_a_wrong_loss_of_pixels_is_caught(fault: TrainingFault) -> None:
    graph = of_pixels()
    proof = compare_training(graph, [TORCH, WrongTraining(TORCH, fault)], check_weights_of(graph))
    (found,) = proof.divergences
    assert (found.against, found.step) == ("torch", 1)


def test_two_backends_train_pixels_as_one() -> None:
    graph = of_pixels()
    proof = compare_training(graph, [TORCH, find_backend("keras")], check_weights_of(graph))
    assert not proof.divergences
    assert all(c.passed for c in proof.comparisons)
