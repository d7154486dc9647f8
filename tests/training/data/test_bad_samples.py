"""Bad samples: all of them are reported, or left out."""

from __future__ import annotations

import numpy as np
import pytest

from netspec.errors import NetspecError
from netspec.training.data import samples
from netspec.training.data.findings import BadDataError
from tests.training.data.numbered import AUGMENTED, Numbered, batches, indices, recipe


def test_all_bad_samples_are_listed() -> None:
    found = batches(Numbered(100, bad=(3, 50, 99)), recipe(2))
    with pytest.raises(BadDataError) as caught:
        [found.step(step) for step in range(found.steps_per_epoch)]
    head, *lines = caught.value.message.splitlines()
    assert head == "3 bad samples in numbered (100 checked):"
    assert sorted(lines) == [f"  numbered, row {row}: spoilt" for row in (3, 50, 99)]


def test_many_bad_samples_are_listed_up_to_a_limit() -> None:
    with pytest.raises(BadDataError, match=r"bad samples in numbered \(\d+ of 500 checked\)") as caught:
        batches(Numbered(500, bad=tuple(range(500))), recipe(2)).step(0)
    assert 20 <= len(caught.value.message.splitlines()) <= 22


def test_the_search_for_other_bad_samples_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "PATIENCE", -1.0)
    with pytest.raises(BadDataError, match=r"1 bad sample in numbered \(32 of 250 checked\):\n  numbered, row 249"):
        batches(Numbered(250, bad=(249,)), recipe(250)).step(0)


def test_a_skipped_sample_is_left_out_and_reported() -> None:
    own = recipe(4, accumulate=2, last_batch="keep", augmentation=AUGMENTED)
    whole = batches(Numbered(16), own)
    found = batches(Numbered(16, bad=(3, 5)), own, on_bad_sample="skip")
    pieces = [found.step(step) for step in range(2)]
    assert sorted(text for piece in pieces for text in piece.bad) == [f"numbered, row {n}: spoilt" for n in (3, 5)]
    assert sum(piece.total for piece in pieces) == 14
    for step, piece in enumerate(pieces):
        rows = np.concatenate([batch.rows for batch in piece.batches])
        np.testing.assert_array_equal(rows, np.arange(piece.total))
        for batch, complete in zip(piece.batches, whole.step(step).batches, strict=True):
            good = ~np.isin(indices(complete), (3, 5))
            np.testing.assert_array_equal(batch.inputs, complete.inputs[good])
            np.testing.assert_array_equal(batch.labels, complete.labels[good])
            np.testing.assert_array_equal(batch.shifts, complete.shifts[good])


def test_a_step_may_lose_all_its_samples() -> None:
    piece = batches(Numbered(4, bad=(0, 1, 2, 3)), recipe(4), on_bad_sample="skip").step(0)
    assert (piece.batches, piece.total, len(piece.bad)) == ((), 0, 4)


def test_several_processes_cannot_skip() -> None:
    with pytest.raises(NetspecError, match="bad samples cannot be skipped by 2 processes") as caught:
        batches(Numbered(8), recipe(), world=2, on_bad_sample="skip")
    assert "netspec data prepare" in caught.value.hint
