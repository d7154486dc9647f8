"""Scores from logits, compared with their definitions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from netspec.errors import NetspecError
from netspec.training.score import log_softmax, score


def test_scores_are_their_definitions() -> None:
    random = np.random.default_rng(0)
    logits, labels = random.standard_normal((50, 8)) * 3, random.integers(0, 8, 50)
    batches = [(logits[:30], labels[:30], range(30)), (logits[30:], labels[30:], range(20))]
    found = score(lambda inputs: inputs, batches, 8)
    log_probabilities = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    order = np.argsort(-logits, axis=1)
    assert found.loss == pytest.approx(-log_probabilities[np.arange(50), labels].mean())
    assert found.error == pytest.approx((order[:, 0] != labels).mean())
    assert found.error_top5 == pytest.approx((order[:, :5] != labels[:, None]).all(axis=1).mean())
    assert found.samples == found.confusion.sum() == 50
    assert found.confusion[labels[0], order[0, 0]] > 0
    assert np.array_equal(found.confusion.sum(axis=1), np.bincount(labels, minlength=8))


def test_probabilities_of_views_are_averaged() -> None:
    views = np.zeros((1, 2, 1, 1, 2))
    views[0, :, 0, 0] = [[5.0, 0.0], [0.0, 1.0]]

    def predict(inputs: NDArray[Any]) -> NDArray[np.float64]:
        assert inputs.shape == (2, 1, 1, 2)
        return inputs[:, 0, 0].astype(np.float64)

    found = score(predict, [(views, np.array([1]), range(1))], 2)
    mean = np.exp(log_softmax(views[0, :, 0, 0])).mean(axis=0)
    assert found.loss == pytest.approx(-np.log(mean[1]))
    assert found.error == 1
    assert found.error_top5 is None  # two classes have no five best


def test_several_processes_add_up() -> None:
    logits = np.eye(3)[[0, 1, 2, 2]]
    batches = [(logits, np.array([0, 1, 2, 1]), range(4))]
    found = score(lambda inputs: inputs, batches, 3, total=lambda values: 2 * values)
    assert (found.samples, found.error) == (8, 0.25)


def test_huge_logits_do_not_overflow() -> None:
    found = score(lambda inputs: inputs, [(np.array([[1e30, 0.0], [0.0, 1e30]]), np.array([0, 0]), range(2))], 2)
    assert np.isfinite(found.loss)
    assert found.error == 0.5


def test_classes_far_below_the_best_keep_their_order() -> None:
    logits = np.array([[0.0, -1000, -2000, -3000, -4000, -5000, -6000]] * 2)  # whose probabilities are 0 but for one
    found = score(lambda inputs: inputs, [(logits, np.array([4, 6]), range(2))], 7)
    assert (found.error, found.error_top5, found.loss) == (1, 0.5, 5000)
    views = logits.reshape(2, 1, 1, 1, 7).repeat(2, axis=1)
    of_views = score(lambda inputs: inputs[:, 0, 0], [(views, np.array([4, 6]), range(2))], 7)
    assert (of_views.error, of_views.error_top5, of_views.loss) == (1, 0.5, pytest.approx(5000))


def test_of_equal_classes_the_first_counts_as_more_probable_in_both_errors() -> None:
    labels = np.arange(7)
    found = score(lambda inputs: inputs, [(np.zeros((7, 7)), labels, range(7))], 7)
    assert (found.error, found.error_top5) == (pytest.approx(6 / 7), pytest.approx(2 / 7))


def test_what_is_not_a_number_is_not_among_the_five_best() -> None:
    found = score(lambda inputs: inputs, [(np.full((2, 7), np.nan), np.array([1, 2]), range(2))], 7)
    assert (found.error, found.error_top5) == (1, 1)


def test_nothing_to_score_is_an_error() -> None:
    with pytest.raises(NetspecError, match="no sample to score"):
        score(lambda inputs: inputs, [], 3)


def test_maps_are_scored_by_their_labelled_pixels() -> None:
    random = np.random.default_rng(3)
    logits, labels = random.standard_normal((5, 7, 4, 3)), random.integers(-1, 7, (5, 4, 3))
    labels[labels == 6] = 0
    logits[:, 6] = -9  # a class that is nowhere
    found = score(lambda inputs: inputs, [(logits[:2], labels[:2], range(2)), (logits[2:], labels[2:], range(1))], 7)
    best, known = logits.argmax(axis=1), labels != -1
    log_probabilities = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    own = np.take_along_axis(log_probabilities, np.maximum(labels, 0)[:, None], axis=1)[:, 0]
    assert found.loss == pytest.approx(-own[known].mean())
    assert found.error == pytest.approx((best != labels)[known].mean())
    shares = [((best == k) & (labels == k)).sum() / (((best == k) & known) | (labels == k)).sum() for k in range(6)]
    assert found.mean_iou == pytest.approx(np.mean(shares))
    assert (found.samples, found.confusion.sum(), found.error_top5) == (3, known.sum(), None)  # as the batches say
    with pytest.raises(NetspecError, match="no pixel is labelled"):
        score(lambda inputs: inputs, [(logits, np.full_like(labels, -1), range(5))], 7)
