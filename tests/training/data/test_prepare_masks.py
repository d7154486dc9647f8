"""Prepared images with masks: both stay aligned, and the counts of classes are kept."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from netspec.errors import NetspecError
from netspec.preprocessing import Pixels
from netspec.training.data.census import census
from netspec.training.data.check import check_data
from netspec.training.data.dataset import BadSampleError, Dataset
from netspec.training.data.evaluation_batches import evaluation_batches
from netspec.training.data.findings import BadDataError
from netspec.training.data.images import decoded, resize_square
from netspec.training.data.prepare import prepare
from netspec.training.data.shards import shard_name
from netspec.training.data.sources import open_data
from netspec.training.data.targets import MapRule
from tests.training.data.source_files import copied, cut
from tests.training.data.test_masks import CLASSES, batches, write

SIZES = [(8, 8)] * 5


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a set of five images of one size and three of others, each with a mask."""
    write(tmp_path / "source" / "train", SIZES)
    write(tmp_path / "source" / "val", SIZES[:3])
    return tmp_path / "source"


def shards_of(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netspec.training.data.shards.SHARD_BYTES", rows * 8 * 8 * 3)


def pairs(dataset: Dataset | None) -> list[tuple[Any, NDArray[np.uint8]]]:
    assert dataset is not None
    return [(dataset.read(index), dataset.read_map(index)) for index in range(len(dataset))]


def test_a_prepared_set_holds_the_same_pairs(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (source / "classes.txt").write_text("a\nb\nc\nd\ne\n")
    shards_of(2, monkeypatch)
    manifest = prepare(str(source), tmp_path / "out", workers=2)
    before, after = open_data(str(source)), open_data(str(tmp_path / "out"))
    assert after.training.classes == ("a", "b", "c", "d", "e")
    remote = open_data(f"local://{tmp_path / 'out'}").training
    for old, new in (
        (before.training, after.training),
        (before.validation, after.validation),
        (before.training, copied(after.training)),
        (before.training, copied(remote)),
    ):
        assert old is not None
        assert new is not None
        assert new.maps
        for index, (image, mask) in enumerate(pairs(new)):
            np.testing.assert_array_equal(image, decoded(old, index))
            np.testing.assert_array_equal(mask, old.read_map(index))
    part = manifest.parts["training"]
    assert [len(part.shards), len(part.masks)] == [3, 3]
    assert check_data(str(tmp_path / "out")).problems == ()


def test_a_step_is_that_of_the_folder(source: Path, tmp_path: Path) -> None:
    prepare(str(source), tmp_path / "out", gray=True)
    rule = MapRule(CLASSES, (6, 6))
    steps = [
        batches(open_data(str(path)).training, 8, rule, random_crop=8, horizontal_flip=True).step(0).batches[0]
        for path in (source, tmp_path / "out")
    ]
    np.testing.assert_array_equal(steps[0].inputs, steps[1].inputs)
    np.testing.assert_array_equal(steps[0].labels, steps[1].labels)
    whole = [
        np.concatenate([batch.labels for batch in evaluation_batches(part, (1, 8, 8), None, 1, 4, rule=rule)])
        for part in (open_data(str(path)).validation for path in (source, tmp_path / "out"))
        if part is not None
    ]
    np.testing.assert_array_equal(*whole)


def write_discs(root: Path) -> Path:
    """Write bright discs on a dark ground with their masks, in several sizes, none of them in the middle."""
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for number, (height, width) in enumerate([(96, 150), (140, 90), (64, 64), (30, 40)]):
        rows, columns = np.mgrid[:height, :width] + 0.5
        inside = (rows - 0.4 * height) ** 2 + (columns - 0.45 * width) ** 2 < (0.3 * min(height, width)) ** 2
        Image.fromarray(np.where(inside, 200, 0).astype(np.uint8)).save(root / "images" / f"{number}.png")
        Image.fromarray(np.where(inside, 3, 0).astype(np.uint8)).save(root / "masks" / f"{number}.png")
    return root


def out_of_place(folder: Path) -> float:
    """Return the share of pixels whose mask disagrees with the image or has a class that did not exist."""
    found = pairs(open_data(str(folder), holdout=0).training)
    wrong = [((image[..., 0] > 100) != (mask == 3)) | ~np.isin(mask, (0, 3)) for image, mask in found]
    return float(np.mean(wrong))


LIMIT = 0.01  # of pixels on the edge of a disc, to be rounded either way


@pytest.mark.parametrize("side", [48, 64, 33])
def test_masks_stay_in_place_and_keep_their_numbers(tmp_path: Path, side: int) -> None:
    prepare(str(write_discs(tmp_path / "source")), tmp_path / "out", side=side, holdout=0)
    assert out_of_place(tmp_path / "out") < LIMIT


def interpolated(mask: Pixels, side: int) -> Pixels:
    return resize_square(mask, side)


def not_cut_in_the_middle(mask: Pixels, side: int) -> Pixels:
    return resize_square(mask[: min(mask.shape[:2]), : min(mask.shape[:2])], side, nearest=True)


def turned(mask: Pixels, side: int) -> Pixels:
    return resize_square(mask.transpose(1, 0, 2), side, nearest=True)


def a_pixel_off(mask: Pixels, side: int) -> Pixels:
    return np.roll(resize_square(mask, side, nearest=True), 1, axis=1)


@pytest.mark.parametrize("fault", [interpolated, not_cut_in_the_middle, turned, a_pixel_off])
def test_a_displaced_mask_is_detected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Callable[[Pixels, int], Pixels]
) -> None:
    def faulty(image: Pixels, side: int, *, nearest: bool = False) -> Pixels:
        return fault(image, side) if nearest else resize_square(image, side)

    monkeypatch.setattr("netspec.training.data.prepare.resize_square", faulty)
    prepare(str(write_discs(tmp_path / "source")), tmp_path / "out", side=48, holdout=0)
    assert out_of_place(tmp_path / "out") > 1.5 * LIMIT


def test_pixels_of_classes_are_counted_once(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = open_data(str(source)).training
    counts = census(folder, CLASSES)
    manifest = prepare(str(source), tmp_path / "out")
    assert manifest.parts["training"].pixels == tuple(counts.tolist())
    prepared = open_data(str(tmp_path / "out")).training
    monkeypatch.setattr(type(prepared), "read_map", None)  # nothing is read
    np.testing.assert_array_equal(census(prepared, CLASSES), counts)
    np.testing.assert_array_equal(census(prepared, CLASSES + 2), [*counts, 0, 0])
    np.testing.assert_array_equal(census(prepared, 2), counts[:2])
    with pytest.raises(NetspecError, match="in 5 masks every labelled pixel is of class 0"):
        census(prepared, 1)


def test_pixels_of_a_damaged_set_are_counted_again(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards_of(2, monkeypatch)
    prepare(str(source), tmp_path / "out")
    size = cut(tmp_path / "out" / "training" / "masks-00000.npy", 0.9).stat().st_size
    (tmp_path / "out" / "training" / "masks-00002.npy").unlink()
    with pytest.raises(BadDataError) as caught:
        open_data(str(tmp_path / "out"))
    assert str(caught.value).splitlines()[1:3] == [
        f"  {tmp_path / 'out' / 'training' / 'masks-00000.npy'}: cut short: {size} bytes of 256",  # 128 of a header
        f"  {tmp_path / 'out' / 'training' / 'masks-00002.npy'}: there is no such file",
    ]
    rest = open_data(str(tmp_path / "out"), on_bad_sample="skip").training
    masks = [mask for _, mask in pairs(rest)]
    assert len(masks) == 2
    counts = np.bincount(np.concatenate(masks).ravel(), minlength=256)[:CLASSES]
    np.testing.assert_array_equal(census(rest, CLASSES), counts)


def test_a_mask_that_changed_or_vanished_is_found(source: Path, tmp_path: Path) -> None:
    prepare(str(source), tmp_path / "out")
    path = tmp_path / "out" / "training" / f"masks-{shard_name(0)}"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert check_data(str(tmp_path / "out")).problems == (f"{path}: damaged: its digest is not the manifest's",)
    dataset = open_data(str(tmp_path / "out")).training
    path.unlink()
    with pytest.raises(BadSampleError, match=r"masks-00000\.npy, row 1: cannot be read"):
        dataset.read_map(1)


def test_every_mask_that_cannot_be_used_is_named(source: Path, tmp_path: Path) -> None:
    masks = source / "train" / "masks"
    (source / "classes.txt").write_text("a\nb\nc\nd\n")  # and masks hold 4
    Image.new("L", (7, 8)).save(masks / "00.png")
    with pytest.raises(BadDataError) as caught:
        prepare(str(source), tmp_path / "deep" / "out", side=6)
    lines = str(caught.value).splitlines()
    assert lines[0] == f"{source}: 6 problems:"
    assert lines[1] == f"  {source}/train/images/00.png: the image is 8x8 (HxW), and its mask 8x7"
    expected = "expected classes 0 to 3 in its mask, or 255 where nothing is known; received 4"
    assert lines[2] == f"  {source}/train/images/02.png: {expected}"
    (masks / "02.png").unlink()
    with pytest.raises(BadDataError, match=rf"1 problem:\n  .*02\.png: there is no 02\.\* in {masks}"):
        prepare(str(source), tmp_path / "deep" / "out")
    assert not (tmp_path / "deep").exists()


def test_a_mask_that_cannot_be_used_is_left_out_with_its_image(source: Path, tmp_path: Path) -> None:
    Image.new("L", (7, 8)).save(source / "train" / "masks" / "00.png")
    (source / "train" / "masks" / "03.tiff").unlink()
    manifest = prepare(str(source), tmp_path / "out", gray=True, on_bad_sample="skip")
    assert [text.rpartition("/")[2] for text in manifest.skipped] == [
        "00.png: the image is 8x8 (HxW), and its mask 8x7"
    ]
    for number, (image, mask) in zip((1, 2, 4), pairs(open_data(str(tmp_path / "out")).training), strict=True):
        paths = [next((source / "train" / name).glob(f"{number:02d}.*")) for name in ("images", "masks")]
        np.testing.assert_array_equal(image[..., 0], np.asarray(Image.open(paths[0])))
        np.testing.assert_array_equal(mask, np.asarray(Image.open(paths[1])))


def test_masks_of_arrays_are_prepared_too(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    images, masks = random.integers(0, 256, (4, 8, 6, 3), np.uint8), random.integers(0, 3, (4, 8, 6))
    np.savez(tmp_path / "set.npz", images=images, masks=masks)
    prepare(str(tmp_path / "set.npz"), tmp_path / "out", holdout=0)
    found = pairs(open_data(str(tmp_path / "out"), holdout=0).training)
    np.testing.assert_array_equal([image for image, _ in found], images)
    np.testing.assert_array_equal([mask for _, mask in found], masks)
