"""Mixing of samples: the draws, and the resulting values and targets, for any rank and any order of steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from netspec.errors import NetspecError
from netspec.lowering import Batch
from netspec.recipe import Augmentation, ColorNoise, CutMix, Mixup, Recipe
from netspec.training.data.batches import Batches, StepBatch, order
from netspec.training.data.mixing import Mixes, draw_mixes, mix
from netspec.training.data.samples import Memory
from tests.training.data.numbered import Features, Numbered, batches, recipe, same

BOTH = Augmentation(mixup=Mixup(alpha=0.8), cutmix=CutMix())
BLENDED, PASTED = (Augmentation(**{name: own}) for name, own in (("mixup", Mixup(alpha=0.8)), ("cutmix", CutMix())))
NOISY = BOTH.model_copy(update={"color_noise": ColorNoise(std=0.1), "horizontal_flip": True})
MANY, IMAGE = 20_000, (40, 60)


def drawn(augmentation: Augmentation = BOTH, samples: int = MANY, image: tuple[int, int] = IMAGE, **key: int) -> Mixes:
    """Return how a whole step of the samples 0, 1, … is mixed."""
    rows = np.arange(samples)
    found = draw_mixes(key.get("seed", 0), key.get("epoch", 0), rows, rows, augmentation, image)
    assert found is not None
    return found


def areas(mixes: Mixes) -> NDArray[np.int64]:
    """Return the number of pixels of each box. Shape: (n,)."""
    return np.ptp(mixes.boxes, axis=2).prod(axis=1)


def test_a_draw_depends_on_seed_epoch_and_sample_alone() -> None:
    """They do not depend on the other samples of the step, on the order, or on the rank."""
    whole, indices = drawn(samples=30), np.arange(29, -1, -1)[:20]
    other = draw_mixes(0, 0, indices, np.array([3, 7]), BOTH, IMAGE)
    assert other is not None
    for row, index in enumerate(indices[[3, 7]]):
        assert other.shares[row] == whole.shares[index]
        np.testing.assert_array_equal(other.boxes[row], whole.boxes[index])
    for key in ({"seed": 1}, {"epoch": 1}):
        assert not (drawn(samples=30, **key).shares == whole.shares).any()
    assert len(np.unique(whole.shares)) == 30


def test_draws_are_those_of_any_other_machine() -> None:
    """Otherwise a run that is continued on another machine would mix other samples."""
    found = drawn(samples=4, seed=3, epoch=2)
    np.testing.assert_allclose(found.shares, [0.7176650098896294, 0.5125, 0.3625, 0.733333333333333], rtol=1e-12)
    assert found.boxes[1:].tolist() == [[[0, 26], [2, 47]], [[5, 39], [15, 60]], [[0, 20], [28, 60]]]


def test_nothing_is_drawn_without_mixing() -> None:
    assert draw_mixes(0, 0, np.arange(4), np.arange(4), Augmentation(horizontal_flip=True), IMAGE) is None


@pytest.mark.parametrize(
    ("mixup", "cutmix", "expected"),
    [
        ({}, None, (1, 0)),
        (None, {}, (0, 1)),
        ({}, {}, (0.5, 0.5)),
        ({"probability": 0.3}, {}, (0.3, 0.7)),
        ({}, {"probability": 0.1}, (0.9, 0.1)),
        ({"probability": 0.4}, {"probability": 0.1}, (0.4, 0.1)),
        (None, {"probability": 0.5}, (0, 0.5)),
        ({"probability": 0.41}, {"probability": 0.59}, (0.41, 0.59)),
    ],
)
def test_a_sample_is_mixed_one_way_with_its_probability(
    mixup: dict[str, Any] | None, cutmix: dict[str, Any] | None, expected: tuple[float, float]
) -> None:
    given = {"mixup": None if mixup is None else {"alpha": 0.8} | mixup, "cutmix": cutmix}
    augmentation = Augmentation.model_validate(given)
    assert augmentation.mixes == pytest.approx(expected)
    found = drawn(augmentation, image=(2000, 3000))  # so large that hardly a box is empty
    pasted = areas(found) > 0
    blended = (found.shares < 1) & ~pasted
    for share, likely in zip((blended.mean(), pasted.mean()), expected, strict=True):
        assert abs(share - likely) <= 4 * np.sqrt(likely * (1 - likely) / MANY) + 2e-3


@pytest.mark.parametrize("alpha", [0.2, 0.8, 4.0])
def test_shares_of_mixup_are_those_of_beta(alpha: float) -> None:
    shares = drawn(Augmentation(mixup=Mixup(alpha=alpha))).shares
    assert shares.mean() == pytest.approx(1 / 2, abs=4 * 0.5 / np.sqrt(MANY))
    assert shares.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.05)


def test_boxes_leave_shares_that_are_even_where_they_are_not_cut_off() -> None:
    found = drawn(PASTED, image=(2000, 3000))
    starts, ends = found.boxes[..., 0], found.boxes[..., 1]
    assert (starts >= 0).all()
    assert (ends <= (2000, 3000)).all()
    np.testing.assert_array_equal(found.shares, 1 - areas(found) / 6_000_000)
    assert found.shares[found.boxes.any(axis=(1, 2))].max() < 1
    sides = (ends - starts)[((starts > 0) & (ends < (2000, 3000))).all(axis=1)]
    np.testing.assert_allclose(sides[:, 1], 1.5 * sides[:, 0], atol=2)
    # The side s of a box has a density of 2s, of which one that is whole inside has (1 - s)² left.
    assert (sides[:, 0] / 2000).mean() == pytest.approx(0.4, abs=0.01)
    assert len(sides) / MANY == pytest.approx(1 / 6, abs=0.01)
    whole = starts == 0
    assert whole.any(axis=0).all()


def test_the_partner_is_half_a_step_away() -> None:
    assert drawn(samples=6).partners.tolist() == [3, 4, 5, 0, 1, 2]
    assert drawn(samples=5).partners.tolist() == [2, 3, 4, 0, 1]
    alone = drawn(samples=1)
    assert (alone.partners.tolist(), alone.shares.tolist()) == ([0], [1.0])


def joined(pieces: Sequence[Batch], name: str) -> NDArray[Any]:
    return np.concatenate([getattr(piece, name) for piece in pieces])


def step_of(augmentation: Augmentation, size: int = 12, step: int = 1, samples: int = 40, **options: Any) -> StepBatch:
    return batches(Numbered(samples), recipe(size, augmentation=augmentation, **options)).step(step)


def plain(augmentation: Augmentation) -> Augmentation:
    return augmentation.model_copy(update={"mixup": None, "cutmix": None})


def assert_mixed(found: Sequence[Batch], unmixed: Sequence[Batch], mixes: Mixes) -> None:
    """Assert that batches are those of the same step without mixing, mixed pixel by pixel as they state."""
    images, labels = joined(unmixed, "inputs").astype(np.float64), joined(unmixed, "labels")
    if unmixed[0].shifts is not None:
        images += joined(unmixed, "shifts")[:, None, None, :]
    shares = joined(found, "shares")
    for row, partner in enumerate(mixes.partners):
        share, ((top, bottom), (left, right)) = mixes.shares[row], mixes.boxes[row]
        expected = images[row].copy()
        if bottom > top:
            expected[top:bottom, left:right] = images[partner, top:bottom, left:right]
        else:
            expected = share * images[row] + (1 - share) * images[partner]
        np.testing.assert_allclose(joined(found, "inputs")[row], expected, rtol=1e-5, atol=1e-5)
        own, other = labels[row], labels[partner] if share < 1 else labels[row]
        both = (own, other) if share >= 0.5 else (other, own)
        assert (joined(found, "labels")[row], joined(found, "partners")[row]) == both
        assert shares[row] == max(share, 1 - share)


@pytest.mark.parametrize("augmentation", [BLENDED, PASTED, BOTH, NOISY], ids=["mixup", "cutmix", "both", "noise"])
def test_values_and_targets_are_mixed(augmentation: Augmentation) -> None:
    """A partner is used as it was before mixing; pasted pixels stay uint8; a box brings its noise."""
    found, unmixed = step_of(augmentation).batches, step_of(plain(augmentation)).batches
    mixes = draw_mixes(0, 0, order(0, 0, 40)[12:24], np.arange(12), augmentation, (4, 5))
    assert mixes is not None
    assert (mixes.shares < 1).sum() > 8
    assert_mixed(found, unmixed, mixes)
    (batch,) = found
    assert batch.inputs.dtype == (np.uint8 if augmentation is PASTED else np.float32)
    assert batch.shifts is None
    np.testing.assert_array_equal(batch.rows, np.arange(12))


def test_the_share_of_a_pasted_box_is_that_of_its_pixels() -> None:
    (found,), (unmixed,) = step_of(PASTED).batches, step_of(Augmentation()).batches
    kept = (found.inputs[..., 0] == unmixed.inputs[:, :1, :1, 0]).mean(axis=(1, 2))  # the sample's number
    own = np.where(found.labels == unmixed.labels, found.shares, 1 - found.shares)
    same = (found.labels == found.partners) & (found.shares < 1)
    np.testing.assert_allclose(np.where(same, np.maximum(kept, 1 - kept), kept), np.where(same, found.shares, own))
    assert len(np.unique(kept)) > 5


@pytest.mark.parametrize("augmentation", [PASTED, NOISY], ids=["cutmix", "noise"])
@pytest.mark.parametrize("world", [2, 3, 5])
def test_ranks_share_a_step_as_one_would_have_it(world: int, augmentation: Augmentation) -> None:
    """Even and odd shares, whole steps and the last; a rank also reads partners of other ranks."""
    options: dict[str, Any] = {"accumulate": 2, "last_batch": "keep", "augmentation": augmentation}
    for step in range(3):
        whole = batches(Numbered(26), recipe(5, **options)).step(step)
        seen = []
        for rank in range(world):
            part = batches(Numbered(26), recipe(5, **options), rank=rank, world=world).step(step)
            assert part.total == whole.total
            for batch in part.batches:
                seen += batch.rows.tolist()
                for name in ("inputs", "labels", "partners", "shares"):
                    np.testing.assert_array_equal(getattr(batch, name), joined(whole.batches, name)[batch.rows])
        assert sorted(seen) == list(range(whole.total))


class Counting(Numbered):
    """A dataset that records which samples were read."""

    def read(self, index: int) -> NDArray[Any]:
        self.seen = [*getattr(self, "seen", []), index]
        return super().read(index)


@pytest.mark.parametrize(("world", "reads"), [(1, 16), (2, 8), (4, 4), (3, 12)])
def test_no_sample_is_read_without_need(world: int, reads: int) -> None:
    """If the ranks divide half a step, a rank has the partners of its own samples; otherwise others have some."""
    dataset = Counting(16)
    batches(dataset, recipe(16, augmentation=BLENDED), world=world).step(0)
    assert len(dataset.seen) == len(set(dataset.seen)) == reads
    rare = Augmentation(mixup=Mixup(alpha=1.0, probability=1e-9))
    few = Counting(16)
    batches(few, recipe(16, augmentation=rare), world=3).step(0)
    assert len(few.seen) == 6


def test_accumulated_batches_are_a_large_one_in_parts() -> None:
    whole, parts = step_of(NOISY), step_of(NOISY, 4, accumulate=3)
    assert [len(batch.labels) for batch in parts.batches] == [4, 4, 4]
    for name in ("inputs", "labels", "rows", "partners", "shares"):
        np.testing.assert_array_equal(joined(parts.batches, name), getattr(whole.batches[0], name))


def test_a_step_is_the_same_in_any_order_of_steps() -> None:
    """Also with more threads; and reusing memory changes no array that is still held."""
    found = batches(Numbered(22), recipe(augmentation=NOISY))
    steps = [found.step(k, threads=1) for k in range(12)]
    again = batches(Numbered(22), recipe(augmentation=NOISY))
    assert all(same(steps[k], again.step(k, threads=3)) for k in (11, 3, 3, 0, 5))
    assert not same(steps[0], batches(Numbered(22), recipe(augmentation=NOISY, seed=1)).step(0))


def test_memory_is_lent_again() -> None:
    rows = np.arange(6)
    mixes, memory = draw_mixes(0, 0, rows, rows, BLENDED, (4, 5)), Memory()
    assert mixes is not None
    read = Batch(np.ones((6, 4, 5, 3), np.uint8), rows, rows)
    first = mix(read, mixes, 1, memory)
    held = mix(read, mixes, 1, memory).inputs
    address = first.inputs.ctypes.data
    assert held.ctypes.data != address
    del first
    assert mix(read, mixes, 1, memory).inputs.ctypes.data == address


def test_beside_a_bad_partner_a_sample_stays_as_it_is() -> None:
    options: dict[str, Any] = {"accumulate": 2, "last_batch": "keep", "augmentation": NOISY}
    whole = batches(Numbered(16), recipe(4, **options))
    found = batches(Numbered(16, bad=(3, 5)), recipe(4, **options), on_bad_sample="skip")
    unmixed = batches(Numbered(16), recipe(4, **(options | {"augmentation": plain(NOISY)})))
    lonely = 0
    for step in range(2):
        indices = order(0, 0, 16)[8 * step : 8 * step + 8]
        good, partners = ~np.isin(indices, (3, 5)), np.roll(np.arange(8), -4)
        piece, complete, before = found.step(step), whole.step(step).batches, unmixed.step(step).batches
        noisy = joined(before, "inputs") + joined(before, "shifts")[:, None, None, :]
        beside = good & ~good[partners]
        for name in ("inputs", "labels", "partners", "shares"):
            expected = joined(complete, name)
            alone = {"inputs": noisy, "shares": np.ones(8)}.get(name, joined(before, "labels"))
            expected[beside] = alone[beside]
            np.testing.assert_array_equal(joined(piece.batches, name), expected[good], err_msg=name)
        np.testing.assert_array_equal(joined(piece.batches, "rows"), np.arange(piece.total))
        lonely += int(beside.sum())
    assert lonely


def test_a_step_may_have_one_sample_or_lose_all() -> None:
    options: dict[str, Any] = {"last_batch": "keep", "augmentation": BOTH}
    (last,) = batches(Numbered(5), recipe(4, **options)).step(1).batches
    assert last.shares is not None
    assert (last.shares.tolist(), last.labels.tolist()) == ([1.0], (last.partners or last.labels).tolist())
    piece = batches(Numbered(4, bad=(0, 1, 2, 3)), recipe(4, **options), on_bad_sample="skip").step(0)
    assert (piece.batches, piece.total, len(piece.bad)) == ((), 0, 4)


def test_features_are_mixed_by_value_and_not_pasted() -> None:
    own = recipe(8, augmentation=BLENDED)
    (found,), (unmixed,) = (batches(Features(9), r, (2,)).step(0).batches for r in (own, recipe(8)))
    indices = order(0, 0, 9)[:8]
    mixes = draw_mixes(0, 0, indices, np.arange(8), BLENDED, None)
    assert mixes is not None
    expected = mixes.shares * indices + (1 - mixes.shares) * indices[mixes.partners]
    np.testing.assert_allclose(found.inputs, np.stack([expected, expected / 2], axis=1), rtol=1e-12)
    assert found.inputs.dtype == unmixed.inputs.dtype == np.float64
    with pytest.raises(NetspecError, match="cutmix: only for images, and the samples of features are features"):
        batches(Features(9), recipe(8, augmentation=BOTH), (2,))


def test_a_step_of_one_sample_has_no_partners() -> None:
    with pytest.raises(ValueError, match="`mixup`, `cutmix` takes another sample of the step"):
        recipe(1, augmentation=BOTH)
    assert isinstance(recipe(1, accumulate=2, augmentation=BOTH), Recipe)
    assert isinstance(batches(Numbered(8), recipe(1, accumulate=2, augmentation=BOTH)), Batches)
