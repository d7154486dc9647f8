"""The batches of a run: a function of recipe, data and step."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from netspec.errors import NetspecError
from netspec.graph import Preprocessing
from netspec.ops.attributes import both
from netspec.recipe import Augmentation, AutoAugment, RandAugment, RandomErasing, RandomResizedCrop
from netspec.training.data import augment, augmentation
from netspec.training.data.augmentation import draw
from netspec.training.data.batches import Batches, order
from netspec.training.data.dataset import Dataset
from netspec.training.data.findings import BadDataError
from tests.training.data.numbered import (
    AUGMENTED,
    COMPONENTS,
    SHAPE,
    Decoded,
    Encoded,
    Features,
    Numbered,
    batches,
    indices,
    recipe,
    same,
)


def test_an_epoch_has_every_sample_once_in_an_order_of_its_own() -> None:
    found = batches(Numbered(22), recipe(last_batch="keep"))
    assert found.steps_per_epoch == 6
    epochs = [[found.step(epoch * 6 + k).batches[0] for k in range(6)] for epoch in range(2)]
    orders = [[index for batch in epoch for index in indices(batch)] for epoch in epochs]
    assert [sorted(order) for order in orders] == [list(range(22))] * 2
    assert orders[0] != orders[1]
    assert orders[0] != list(range(22))
    for batch in (batch for epoch in epochs for batch in epoch):
        np.testing.assert_array_equal(batch.labels, np.array(indices(batch)) % 7)
        np.testing.assert_array_equal(batch.rows, np.arange(len(batch.labels)))
    assert [len(batch.labels) for batch in epochs[0]] == [4, 4, 4, 4, 4, 2]


def test_the_last_batch_is_dropped_or_kept() -> None:
    dropped, kept = batches(Numbered(22), recipe()), batches(Numbered(22), recipe(last_batch="keep"))
    assert (dropped.steps_per_epoch, kept.steps_per_epoch) == (5, 6)
    assert all(same(dropped.step(k), kept.step(k)) for k in range(5))
    assert [dropped.step(5).total, kept.step(5).total] == [4, 2]


def test_fewer_samples_than_a_step_takes_are_an_error() -> None:
    with pytest.raises(NetspecError, match=r"numbered: has 7 samples, a step takes 8, and the recipe drops"):
        batches(Numbered(7), recipe(4, accumulate=2))
    with pytest.raises(NetspecError, match=r"numbered: has 1 sample, a step takes 4"):
        batches(Numbered(1), recipe(4))
    assert batches(Numbered(7), recipe(4, accumulate=2, last_batch="keep")).steps_per_epoch == 1


def test_another_seed_is_another_order() -> None:
    first, second = (batches(Numbered(64), recipe(64, seed=seed)).step(0).batches[0] for seed in (0, 1))
    assert indices(first) != indices(second)


def test_a_step_is_the_same_in_any_order_of_steps() -> None:
    found = batches(Numbered(22), recipe(augmentation=AUGMENTED))
    steps = [found.step(k, threads=1) for k in range(12)]
    again = batches(Numbered(22), recipe(augmentation=AUGMENTED))
    assert all(same(steps[k], again.step(k, threads=3)) for k in (11, 3, 3, 0))


def test_accumulated_batches_are_a_large_one_in_parts() -> None:
    whole = batches(Numbered(30), recipe(12, augmentation=AUGMENTED)).step(1)
    parts = batches(Numbered(30), recipe(4, accumulate=3, augmentation=AUGMENTED)).step(1)
    assert (len(parts.batches), parts.total) == (3, 12)
    for name in ("inputs", "labels", "rows", "shifts"):
        joined = np.concatenate([getattr(batch, name) for batch in parts.batches])
        np.testing.assert_array_equal(joined, getattr(whole.batches[0], name))


@pytest.mark.parametrize("world", [2, 3])
def test_ranks_share_each_batch(world: int) -> None:
    options = recipe(5, accumulate=2, last_batch="keep", augmentation=AUGMENTED)
    single = batches(Numbered(26), options)
    ranks = [batches(Numbered(26), options, rank=rank, world=world) for rank in range(world)]
    for step in range(3):
        whole, parts = single.step(step), [each.step(step) for each in ranks]
        assert {part.total for part in parts} == {whole.total}
        rows = [row for part in parts for batch in part.batches for row in batch.rows]
        assert sorted(rows) == list(range(whole.total))
        inputs = np.concatenate([batch.inputs for batch in whole.batches])
        shifts = np.concatenate([batch.shifts for batch in whole.batches])
        for part in parts:
            for batch in part.batches:
                np.testing.assert_array_equal(batch.inputs, inputs[batch.rows])
                np.testing.assert_array_equal(batch.shifts, shifts[batch.rows])
    assert [len(batch.rows) for batch in ranks[0].step(0).batches] == [{2: 3, 3: 2}[world]] * 2


def test_a_rank_without_a_sample_has_no_batch() -> None:
    options = recipe(4, last_batch="keep")
    shares = [batches(Numbered(5), options, rank=rank, world=2).step(1) for rank in (0, 1)]
    assert [len(share.batches) for share in shares] == [1, 0]
    assert [share.total for share in shares] == [1, 1]


def seen(found: Batches) -> dict[int, bytes]:
    """Return what the network reads of each sample in the second epoch."""
    parts = [batch for k in range(found.steps_per_epoch) for batch in found.step(found.steps_per_epoch + k).batches]
    return {
        index: batch.inputs[row].tobytes() + batch.shifts[row].tobytes()
        for batch in parts
        for row, index in enumerate(indices(batch))
    }


def test_what_a_sample_undergoes_depends_on_seed_epoch_and_sample_alone() -> None:
    first = seen(batches(Numbered(24), recipe(4, augmentation=AUGMENTED)))
    assert first == seen(batches(Numbered(24), recipe(3, accumulate=2, augmentation=AUGMENTED)))
    assert first != seen(batches(Numbered(24), recipe(4, augmentation=AUGMENTED, seed=1)))


CHANGED = Augmentation(
    random_crop={"height": 4, "width": 5},
    horizontal_flip=True,
    rand_augment=RandAugment(magnitude_std=0.5),
    random_erasing=RandomErasing(),
)


def crops(found: Batches, length: int) -> dict[int, bytes]:
    """Return the pixels of each sample in the first epoch, in the order of that epoch."""
    rows = np.concatenate([batch.inputs for k in range(found.steps_per_epoch) for batch in found.step(k).batches])
    return dict(zip(order(0, 0, length).tolist(), map(np.ndarray.tobytes, rows), strict=True))


@pytest.mark.parametrize("policy", ["rand_augment", "auto_augment"])
def test_what_a_policy_does_depends_on_seed_epoch_and_sample_alone(policy: str) -> None:
    table = {"rand_augment": None, "auto_augment": AutoAugment(policy="imagenet")}
    own = CHANGED if policy == "rand_augment" else CHANGED.model_copy(update=table)
    first = crops(batches(Numbered(24), recipe(4, augmentation=own)), 24)
    assert first == crops(batches(Numbered(24), recipe(3, accumulate=2, augmentation=own)), 24)
    assert first == crops(batches(Numbered(24), recipe(24, augmentation=own)), 24)
    halves = [batches(Numbered(24), recipe(4, augmentation=own), rank=rank, world=2) for rank in (0, 1)]
    places = order(0, 0, 24).reshape(6, 4)
    for rank, half in enumerate(halves):
        for k in range(6):
            assert [*map(np.ndarray.tobytes, half.step(k, threads=1 + rank).batches[0].inputs)] == [
                first[index] for index in places[k, rank::2].tolist()
            ]
    without = crops(batches(Numbered(24), recipe(4, augmentation=AUGMENTED)), 24)
    assert sum(first[index] != without[index] for index in range(24)) > 12


def test_a_policy_sees_the_same_colors_in_each_order_of_channels() -> None:
    own = recipe(60, augmentation=Augmentation(auto_augment=AutoAugment(policy="imagenet"), horizontal_flip=True))
    rgb, bgr = (
        Batches(Numbered(60), SHAPE, Preprocessing(channel_order=name), own, None).step(0).batches[0]
        for name in ("rgb", "bgr")
    )
    np.testing.assert_array_equal(bgr.inputs, rgb.inputs[..., ::-1])
    assert len({image.tobytes() for image in rgb.inputs}) == 60


def test_missing_pillow_is_reported_before_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    augment.load_operations.cache_clear()
    monkeypatch.delattr(augment, "operations", raising=False)
    monkeypatch.delitem(sys.modules, "netspec.training.data.augment.operations", raising=False)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(NetspecError, match="the augmentation of pixels needs PIL, not installed here"):
        batches(Numbered(24), recipe(4, augmentation=CHANGED))
    assert (
        batches(Numbered(24), recipe(4, augmentation=Augmentation(random_erasing=RandomErasing()))).step(0).total == 4
    )


def test_crops_flips_and_noise_reach_the_batch() -> None:
    batch = batches(Numbered(200), recipe(200, augmentation=AUGMENTED)).step(0).batches[0]
    tops, columns = batch.inputs[:, 0, 0, 1], batch.inputs[:, 0, :, 2].astype(int)
    assert set(tops.tolist()) == {0, 1, 2, 3}
    assert set(columns.min(axis=1).tolist()) == {0, 1, 2, 3, 4}
    assert set(np.diff(columns, axis=1).ravel().tolist()) == {-1, 1}
    assert batch.shifts.shape == (200, 3)
    assert len(np.unique(batch.shifts)) == 600


def test_without_augmentation_it_is_the_centre() -> None:
    batch = batches(Numbered(8), recipe(8)).step(0).batches[0]
    assert batch.shifts is None
    np.testing.assert_array_equal(batch.inputs[0, :, :, 1:], Numbered(8).read(0)[1:5, 2:7, 1:])


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_a_resized_crop_is_of_the_whole_image(order: str) -> None:
    """Even if the preprocessing crops the image."""
    own = recipe(200, augmentation=Augmentation(random_resized_crop=RandomResizedCrop(area=(0.3, 1))))
    (batch,) = (
        Batches(Numbered(200), SHAPE, Preprocessing(resize_shorter_side=4, channel_order=order), own, None)
        .step(0)
        .batches
    )
    inputs = batch.inputs if order == "rgb" else batch.inputs[..., ::-1]
    assert inputs[..., 2].min() == 0  # the columns of Numbered; the centre square of a shorter side of 4 has not all
    assert inputs[..., 2].max() == 8
    assert len({image[..., 1:].tobytes() for image in inputs}) > 50


def test_a_random_shorter_side_covers_the_input() -> None:
    sides = Augmentation(random_shorter_side=(4, 9), random_crop={"height": 4, "width": 5})
    with pytest.raises(NetspecError, match="a side of 4 does not cover the network's input of 4x5"):
        batches(Numbered(8), recipe(8, augmentation=sides))
    sides = Augmentation(random_shorter_side=(5, 9), random_crop={"height": 4, "width": 5})
    inputs = batches(Numbered(200), recipe(200, augmentation=sides)).step(0).batches[0].inputs
    spans = inputs[:, 0, -1, 2].astype(int) - inputs[:, 0, 0, 2]
    assert set(spans.tolist()) > {3, 4, 5}  # of 9 columns where the side of 7 is resized to 9, and to 5


def test_batches_are_in_the_networks_order_of_channels() -> None:
    own = recipe(8, augmentation=AUGMENTED)
    rgb = Batches(Numbered(8), SHAPE, Preprocessing(), own, COMPONENTS).step(0).batches[0]
    bgr = Batches(Numbered(8), SHAPE, Preprocessing(channel_order="bgr"), own, COMPONENTS).step(0).batches[0]
    np.testing.assert_array_equal(bgr.inputs, rgb.inputs[..., ::-1])


@pytest.mark.parametrize("shorter_side", [None, 8])
@pytest.mark.parametrize("order", ["rgb", "bgr", "gray"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_an_encoded_image_is_augmented_as_a_decoded_one(kind: str, order: str, shorter_side: int | None) -> None:
    own = recipe(16, augmentation=AUGMENTED.model_copy(update={"color_noise": None}))
    preprocessing = Preprocessing(channel_order=order, resize_shorter_side=shorter_side)
    shape = (1 if order == "gray" else 3, 4, 5)
    encoded = Encoded(16, kind)
    found, expected = (
        Batches(dataset, shape, preprocessing, own, None).step(0).batches[0] for dataset in (encoded, Decoded(encoded))
    )
    np.testing.assert_array_equal(found.inputs, expected.inputs)


@pytest.mark.parametrize("channel_order", ["rgb", "bgr", "gray"])
def test_mirrored_jpegs_are_copied_as_rows_of_bytes(channel_order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    copied = []
    copy = augmentation._copy_backwards
    monkeypatch.setattr(augmentation, "_copy_backwards", lambda *rows: (copied.append(rows), copy(*rows)))
    own = recipe(64, augmentation=Augmentation(horizontal_flip=True))
    shape = (1 if channel_order == "gray" else 3, 4, 5)
    Batches(Encoded(64, "JPEG"), shape, Preprocessing(channel_order=channel_order), own, None).step(0)
    assert len(copied) == draw(own.seed, 0, order(own.seed, 0, 64), own.augmentation).flips.sum() > 16


def test_features_are_stacked_as_they_are() -> None:
    batch = batches(Features(9), recipe(4), (2,)).step(0).batches[0]
    assert batch.inputs.dtype == np.float64
    np.testing.assert_array_equal(batch.inputs[:, 0], 2 * batch.inputs[:, 1])
    np.testing.assert_array_equal(batch.labels, batch.inputs[:, 0] % 7)
    assert batch.shifts is None


def test_features_that_do_not_fit() -> None:
    with pytest.raises(NetspecError, match=r"features of \(2,\) do not fit the network's input of \(784,\)"):
        batches(Features(9), recipe(4), (784,))
    with pytest.raises(BadDataError, match=r"features, row 3: expected features of \(2,\), received \(1,\)"):
        batches(Features(9, short=(3,)), recipe(9), (2,)).step(0)
    left = batches(Features(9, short=(3,)), recipe(9), (2,), on_bad_sample="skip").step(0)
    assert sorted(left.batches[0].inputs[:, 0].tolist()) == [0, 1, 2, 4, 5, 6, 7, 8]


@pytest.mark.parametrize(
    ("dataset", "shape", "augmentation", "message"),
    [
        (Features(8), (2,), AUGMENTED, "random_crop, horizontal_flip, color_noise: only for images"),
        (Features(8), (2,), CHANGED, "horizontal_flip, rand_augment, random_erasing: only for images"),
        (Numbered(8), (784,), Augmentation(), r"images become an input of \[1, H, W\] or \[3, H, W\]"),
        (
            Numbered(8),
            SHAPE,
            Augmentation(random_crop=both(5)),
            r"expected the size .*, 4x5, received 5x5\nhint: .*{height: 4, width: 5}",
        ),
        (Numbered(0), SHAPE, Augmentation(), "numbered: there are no samples in it"),
    ],
)
def test_combinations_that_do_not_fit_are_refused(
    dataset: Dataset, shape: tuple[int, ...], augmentation: Augmentation, message: str
) -> None:
    with pytest.raises(NetspecError, match=message):
        batches(dataset, recipe(augmentation=augmentation), shape)


def test_color_noise_needs_components() -> None:
    with pytest.raises(NetspecError, match="color_noise: needs the components"):
        Batches(Numbered(8), SHAPE, None, recipe(augmentation=AUGMENTED), None)
