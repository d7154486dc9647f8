"""Batches for scoring: every sample once, in one view or ten."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from netspec.training.data.evaluation_batches import evaluation_batches
from netspec.training.data.findings import BadDataError
from tests.training.data.numbered import SHAPE, Features, Numbered, batches, indices, recipe


@pytest.mark.parametrize("views", [1, 10])
@pytest.mark.parametrize("world", [1, 3])
def test_evaluation_has_every_sample_once(views: Any, world: int) -> None:
    parts = [list(evaluation_batches(Numbered(11), SHAPE, None, views, 4, rank, world)) for rank in range(world)]
    found = [batch for part in parts for batch in part]
    assert all(batch.inputs.shape[1:] == (views, 4, 5, 3) for batch in found)
    assert max(len(batch.labels) for batch in found) == 4
    for inputs, labels, chosen in found:
        np.testing.assert_array_equal(inputs[:, 0, 0, 0, 0], chosen)
        np.testing.assert_array_equal(labels, chosen % 7)
    assert sorted(index for batch in found for index in batch.indices) == list(range(11))
    if world == 1:
        assert [batch.indices.tolist() for batch in found] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10]]


def test_evaluation_sees_the_centre_that_training_without_a_crop_sees() -> None:
    (batch,) = evaluation_batches(Numbered(4), SHAPE, None, 1, 4)
    trained = batches(Numbered(4), recipe(4)).step(0).batches[0]
    np.testing.assert_array_equal(batch.inputs[indices(trained), 0], trained.inputs)


def test_evaluation_of_features() -> None:
    found = list(evaluation_batches(Features(5), (2,), None, 1, 2))
    np.testing.assert_array_equal(np.concatenate([batch.inputs for batch in found])[:, 0], np.arange(5))


def test_evaluation_reports_bad_samples() -> None:
    dataset, skipped_rows = Numbered(6, bad=(0, 1, 4)), []
    with pytest.raises(BadDataError, match=r"3 bad samples in numbered \(6 checked\)"):
        list(evaluation_batches(dataset, SHAPE, None, 1, 2))
    found = list(evaluation_batches(dataset, SHAPE, None, 1, 2, on_bad_sample="skip", skipped=skipped_rows.append))
    assert [batch.indices.tolist() for batch in found] == [[2, 3], [5]]
    assert skipped_rows == [f"numbered, row {row}: spoilt" for row in (0, 1, 4)]
