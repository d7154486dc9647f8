"""Images with masks: each image is read with its own mask, and every operation treats both in the same way."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from netspec.errors import NetspecError
from netspec.lowering.batch import UNLABELLED
from netspec.preprocessing import DamagedImageError
from netspec.recipe import Recipe
from netspec.training.data.batches import Batches
from netspec.training.data.census import census
from netspec.training.data.check import check_data
from netspec.training.data.dataset import Dataset
from netspec.training.data.evaluation_batches import evaluation_batches
from netspec.training.data.mask_folders import decode_mask
from netspec.training.data.sources import open_data
from netspec.training.data.targets import MapRule, mirrored
from netspec.training.data.tiles import tiles_of
from tests.training.data.source_files import copied

CLASSES = 5


def of_numbers(random: np.random.Generator, height: int, width: int) -> NDArray[np.uint8]:
    """Return a mask of blocks, between which a bilinear resize would make other numbers; some are unknown."""
    blocks = random.choice(np.array([0, 1, 4, 255], np.uint8), (-(-height // 4), -(-width // 4)))
    return np.kron(blocks, np.ones((4, 4), np.uint8))[:height, :width]


def write(root: Path, sizes: list[tuple[int, int]], classes: str = "") -> Path:
    """Write gray images whose pixels encode their masks: 40 times the class, 250 where it is unknown."""
    random = np.random.default_rng(0)
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for number, (height, width) in enumerate(sizes):
        mask = of_numbers(random, height, width)
        image = np.where(mask == 255, 250, 40 * mask.astype(int)).astype(np.uint8)
        Image.fromarray(image).save(root / "images" / f"{number:02d}.png")
        Image.fromarray(mask).save(root / "masks" / f"{number:02d}.{'tiff' if number % 2 else 'png'}")
    if classes:
        (root / "classes.txt").write_text(classes)
    return root


def batches(dataset: Dataset, size: int, rule: MapRule, **augmentation: Any) -> Batches:
    recipe = Recipe.model_validate(
        {
            "batch_size": 4,
            "steps": 1,
            "optimizer": {"name": "sgd", "learning_rate": 0.1},
            "augmentation": augmentation,
        }
    )
    return Batches(dataset, (1, size, size), None, recipe, None, rule=rule)


def pixels_of(labels: NDArray[np.int64]) -> NDArray[np.uint8]:
    return np.where(labels == UNLABELLED, 250, 40 * labels).astype(np.uint8)


AUGMENTED: list[dict[str, Any]] = [{}, {"horizontal_flip": True}, {"random_crop": 12, "horizontal_flip": True}]


@pytest.mark.parametrize("out", [12, 8, 7])
@pytest.mark.parametrize("augmentation", AUGMENTED)
def test_a_label_is_that_of_the_pixel_in_the_middle_of_the_input(
    tmp_path: Path, out: int, augmentation: dict[str, Any]
) -> None:
    splits = open_data(str(write(tmp_path / "set", [(20, 23), (12, 12), (31, 14), (9, 10)])), holdout=0)
    (batch,) = batches(splits.training, 12, MapRule(CLASSES, (out, out)), **augmentation).step(0).batches
    top = (12 - out) // 2
    middle = batch.inputs[:, top : top + out, top : top + out, 0]
    assert batch.labels.shape == (4, out, out)
    assert set(np.unique(batch.labels)) <= {UNLABELLED, 0, 1, 4}
    # An image smaller than the output grows: its pixels between two classes are of neither.
    between = 0.3 if out == 12 else 0.0
    assert (middle != pixels_of(batch.labels)).mean() <= between


def test_crops_that_are_resized_keep_masks_in_place(tmp_path: Path) -> None:
    splits = open_data(str(write(tmp_path / "set", [(64, 64)] * 4)), holdout=0)
    augmentation = {"random_resized_crop": {"area": [0.5, 1.0]}, "horizontal_flip": True}
    (batch,) = batches(splits.training, 32, MapRule(CLASSES, (32, 32)), **augmentation).step(0).batches
    difference = np.abs(batch.inputs[..., 0].astype(int) - pixels_of(batch.labels))
    assert set(np.unique(batch.labels)) <= {UNLABELLED, 0, 1, 4}
    assert (difference > 60).mean() < 0.2  # at the edges of blocks, where resizing mixes values
    mirrored_labels = np.abs(batch.inputs[..., 0].astype(int) - pixels_of(batch.labels[:, :, ::-1]))
    assert (mirrored_labels > 60).mean() > 0.3


@pytest.mark.parametrize(
    "augmentation",
    [
        {"rand_augment": {}},
        {"auto_augment": {"policy": "imagenet"}},
        {"mixup": {"alpha": 0.8}},
        {"cutmix": {}},
        {"random_crop": {"height": 32, "width": 32}, "crop_padding": 4},
    ],
    ids=lambda augmentation: list(augmentation)[-1],
)
def test_augmentations_that_do_not_apply_to_masks_are_refused(tmp_path: Path, augmentation: dict[str, Any]) -> None:
    splits = open_data(str(write(tmp_path, [(40, 40)] * 4)))
    rule = MapRule(CLASSES, (32, 32))
    name = list(augmentation)[-1]
    with pytest.raises(
        NetspecError, match=f"^{name}: only for images with one label each, and the samples of .* have masks"
    ):
        batches(splits.training, 32, rule, **augmentation)


def test_the_image_is_mirrored_around_the_output(tmp_path: Path) -> None:
    splits = open_data(str(write(tmp_path / "set", [(8, 8)] * 2)), holdout=0)
    (found,) = evaluation_batches(splits.training, (1, 13, 13), None, 1, 4, rule=MapRule(CLASSES, (8, 8)))
    first = np.asarray(Image.open(tmp_path / "set" / "images" / "00.png"))
    np.testing.assert_array_equal(found.inputs[0, 0, :, :, 0], np.pad(first, (2, 3), mode="reflect"))
    np.testing.assert_array_equal(pixels_of(found.labels[0]), first)
    assert mirrored(first[..., None], (0, 0)).shape == (8, 8, 1)


def test_parts_classes_and_pickles(tmp_path: Path) -> None:
    for part in ("train", "val"):
        write(tmp_path / part, [(8, 8)] * 3)
    (tmp_path / "classes.txt").write_text("sky\ncell\n\nwall\n")
    splits = open_data(str(tmp_path))
    assert splits.training.classes == ("sky", "cell", "wall")
    assert splits.validation is not None
    assert (len(splits.training), len(splits.validation), splits.training.maps) == (3, 3, True)
    copy = copied(splits.training)
    np.testing.assert_array_equal(copy.read_map(1), splits.training.read_map(1))
    held = open_data(str(tmp_path / "train"), holdout=0.4)
    assert held.validation is not None
    assert held.validation.maps
    names = {part.describe(0) for part in (held.training, held.validation)}
    assert len(names) == 2
    before = splits.training.fingerprint
    (tmp_path / "train" / "masks" / "00.png").write_bytes((tmp_path / "train" / "masks" / "02.png").read_bytes() + b"x")
    assert open_data(str(tmp_path)).training.fingerprint != before


def test_every_problem_of_a_set_of_masks_is_named(tmp_path: Path) -> None:
    root = write(tmp_path / "set", [(8, 8)] * 6, "a\nb\nc\nd\n")
    (root / "masks" / "00.png").unlink()
    (root / "images" / "01.png").unlink()
    (root / "images" / "02.jpg").write_bytes((root / "images" / "02.png").read_bytes())
    Image.new("L", (7, 8)).save(root / "masks" / "03.tiff")
    Image.new("RGB", (8, 8)).save(root / "masks" / "04.png")
    (root / "notes").mkdir()
    report = check_data(str(root))
    assert report.problems[:3] == (
        f"{root}/images/02.png: 02.jpg has the same name",
        f"{root}/images/00.png: there is no 00.* in {root}/masks",
        f"{root}/masks/01.tiff: there is no 01.* in {root}/images",
    )
    classes = "expected classes 0 to 3 in its mask, or 255 where nothing is known; received 4"
    assert sorted(report.problems[3:]) == [
        f"{root}/images/02.jpg: {classes}",
        f"{root}/images/03.png: the image is 8x8 (HxW), and its mask 8x7",
        f"{root}/images/05.png: {classes}",
        f"{root}/masks/04.png: expected a mask of class numbers, gray or by a palette, received one in colors (RGB)",
    ]
    assert report.notes[0] == f"{root}: not read, beside images and masks: notes"
    with pytest.raises(NetspecError, match="3 problems"):
        open_data(str(root))


def test_a_valid_set_is_counted_by_the_classes_that_occur(tmp_path: Path) -> None:
    root = write(tmp_path / "set", [(8, 8)] * 5)
    (part,) = check_data(str(root)).parts
    masks = [np.unique(np.asarray(Image.open(path))) for path in (root / "masks").iterdir()]
    assert (part.samples, part.bad, part.maps, len(part.classes)) == (5, 0, True, 5)
    assert part.counts.tolist() == [sum(k in mask for mask in masks) for k in range(5)]
    assert len(set(part.counts.tolist())) > 2
    assert part.smallest == (8, 8)


def test_a_mask_of_0_and_255_is_reported_as_useless(tmp_path: Path) -> None:
    root = write(tmp_path / "set", [(8, 8)] * 2)
    for path in (root / "masks").iterdir():
        Image.fromarray(np.where(np.asarray(Image.open(path)) > 0, 255, 0).astype(np.uint8)).save(path)
    assert "every labelled pixel of its masks is of class 0: one of 0 and 255" in check_data(str(root)).notes[0]
    with pytest.raises(NetspecError, match=r"in 2 masks every labelled pixel is of class 0, so .*\nhint: .* 0 and 1"):
        census(open_data(str(root), holdout=0).training, 2)


def encoded(image: Image.Image, kind: str, path: Path) -> bytes:
    image.save(path, kind)
    return path.read_bytes()


def test_masks_are_decoded_to_the_number_not_the_color(tmp_path: Path) -> None:
    numbers = np.arange(6, dtype=np.uint8).reshape(2, 3)
    palette = Image.fromarray(numbers, "P")
    palette.putpalette([value for color in range(256) for value in (255 - color, color, 7)])
    path = tmp_path / "mask"
    np.testing.assert_array_equal(decode_mask(encoded(palette, "PNG", path)), numbers)
    np.testing.assert_array_equal(decode_mask(encoded(Image.fromarray(numbers), "TIFF", path)), numbers)
    np.testing.assert_array_equal(decode_mask(encoded(Image.fromarray(numbers > 2), "PNG", path)), numbers > 2)
    deep = Image.fromarray(numbers.astype(np.uint16))
    np.testing.assert_array_equal(decode_mask(encoded(deep, "PNG", path)), numbers)
    with pytest.raises(DamagedImageError, match="class numbers from 0 to 254, received 700"):
        decode_mask(encoded(Image.fromarray(np.full((2, 2), 700, np.uint16)), "PNG", path))
    with pytest.raises(DamagedImageError, match="JPEG changes class numbers: expected a mask in PNG or TIFF"):
        decode_mask(encoded(Image.fromarray(numbers), "JPEG", path))
    with pytest.raises(DamagedImageError, match="not an image"):
        decode_mask(b"nothing")
    whole = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 9, (64, 64), dtype=np.uint8)), "PNG", path)
    with pytest.raises(DamagedImageError, match="a damaged image"):
        decode_mask(whole[: len(whole) // 2])


@pytest.mark.parametrize("greatest", [1, 3, 200, 255, 300, 1000, 65535])
@pytest.mark.parametrize("plain", [True, False])
def test_masks_of_a_pgm_have_the_numbers_that_it_stores(greatest: int, plain: bool) -> None:
    numbers = np.arange(min(greatest, 254) + 1, dtype=">u2" if greatest > 255 else "u1")
    written = " ".join(map(str, numbers)).encode() if plain else numbers.tobytes()
    header = f"P{2 if plain else 5} {len(numbers)} 1 {greatest}\n".encode()
    np.testing.assert_array_equal(decode_mask(header + written), numbers[None])


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_masks_of_few_bits_have_the_numbers_that_the_file_stores(bits: int) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 8 // bits, 1, bits, 0, 0, 0, 0))
    row = chunk(b"IDAT", zlib.compress(bytes([0, 0b00011011])))
    numbers = [(0b00011011 >> 8 - bits * (i + 1)) % 2**bits for i in range(8 // bits)]
    np.testing.assert_array_equal(decode_mask(b"\x89PNG\r\n\x1a\n" + header + row + chunk(b"IEND", b"")), [numbers])


def test_masks_of_an_npz(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    images, masks = random.integers(0, 256, (5, 8, 6), np.uint8), random.integers(0, 3, (5, 8, 6))
    masks[2, 0, 0] = 999
    np.savez(tmp_path / "set.npz", images=images, masks=masks, classes=["a", "b", "c"])
    with pytest.raises(NetspecError, match=r"masks, row 2: expected class numbers from 0 to 254, received 999"):
        open_data(str(tmp_path / "set.npz"))
    splits = open_data(str(tmp_path / "set.npz"), holdout=0, on_bad_sample="skip")
    assert (len(splits.training), splits.training.maps, splits.training.classes) == (4, True, ("a", "b", "c"))
    np.testing.assert_array_equal(copied(splits.training).read_map(2), masks[3])
    np.savez(tmp_path / "wrong.npz", images=images, masks=masks[:, 1:])
    with pytest.raises(NetspecError, match=r"expected masks of \(8, 6\), as the samples are, received \(7, 6\)"):
        open_data(str(tmp_path / "wrong.npz"))


def test_features_have_masks_too(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    np.savez(tmp_path / "set.npz", x=random.normal(size=(4, 2, 8, 6)), y=random.integers(0, 3, (4, 8, 6)))
    dataset = open_data(str(tmp_path / "set.npz"), holdout=0).training
    (found,) = evaluation_batches(dataset, (2, 8, 6), None, 1, 4, rule=MapRule(3, (4, 4)))
    np.testing.assert_array_equal(found.labels[1], dataset.read_map(1)[2:6, 1:5])


def test_bad_masks_are_left_out_with_their_images(tmp_path: Path) -> None:
    root = write(tmp_path / "set", [(8, 8)] * 4)
    Image.new("L", (9, 8)).save(root / "masks" / "01.tiff")
    dataset = open_data(str(root), holdout=0).training
    bad: list[str] = []
    rule = MapRule(CLASSES, (8, 8))
    (found,) = evaluation_batches(dataset, (1, 8, 8), None, 1, 4, rule=rule, on_bad_sample="skip", skipped=bad.append)
    assert found.indices.tolist() == [0, 2, 3]
    np.testing.assert_array_equal(found.inputs[:, 0, :, :, 0], pixels_of(found.labels))
    assert bad == [f"{root}/images/01.png: the image is 8x8 (HxW), and its mask 8x9"]


def test_a_mask_is_turned_upright_as_its_image_is(tmp_path: Path) -> None:
    root = write(tmp_path / "set", [(8, 12)] * 4)
    for path in root.rglob("*.*"):
        image = Image.open(path)
        image.getexif()[0x0112] = 3  # Exif 2.3, orientation: turned by 180 degrees
        image.save(path, exif=image.getexif())
    dataset = open_data(str(root), holdout=0).training
    (found,) = evaluation_batches(dataset, (1, 8, 8), None, 1, 8, rule=MapRule(CLASSES, (8, 8)))
    known = found.labels != UNLABELLED
    np.testing.assert_array_equal(found.inputs[:, 0, :, :, 0][known], pixels_of(found.labels[known]))


@pytest.mark.parametrize(("size", "tiles"), [((20, 21), 9), ((16, 8), 2), ((5, 30), 6)])
def test_a_scored_image_is_seen_whole_and_each_pixel_once(tmp_path: Path, size: tuple[int, int], tiles: int) -> None:
    root = write(tmp_path / "set", [size] * 2)
    dataset = open_data(str(root), holdout=0).training
    found = list(evaluation_batches(dataset, (1, 13, 13), None, 1, 5, rule=MapRule(CLASSES, (8, 8))))
    assert [len(batch.labels) for batch in found] == [5] * (2 * tiles // 5) + [2 * tiles % 5] * (2 * tiles % 5 > 0)
    assert np.concatenate([batch.indices for batch in found]).tolist() == [0, 1]
    inputs, labels = (np.concatenate(arrays) for arrays in zip(*((b.inputs, b.labels) for b in found), strict=True))
    known = labels != UNLABELLED
    middle = inputs[:, 0, 2:10, 2:10, 0]
    if min(size) >= 8:
        np.testing.assert_array_equal(middle[known], pixels_of(labels[known]))
        masks = [np.asarray(Image.open(path)) for path in (root / "masks").iterdir()]
        counts = np.bincount(np.concatenate([mask[mask != 255] for mask in masks]), minlength=CLASSES)
        np.testing.assert_array_equal(np.bincount(labels[known], minlength=CLASSES), counts)
    else:  # it grows until an output lies in it
        assert (middle[known] != pixels_of(labels[known])).mean() < 0.5


def test_tiles_lie_where_they_are_read() -> None:
    random = np.random.default_rng(5)
    image, mask = random.integers(0, 255, (2, 19, 16, 1), np.uint8)
    around = (mirrored(each, (5, 5)) for each in (image, mask))
    inputs, labels = tiles_of(*around, (13, 13), (8, 8))
    assert inputs.shape == (6, 13, 13, 1)
    np.testing.assert_array_equal(labels[0], mask[:8, :8, 0])
    np.testing.assert_array_equal(inputs[3, 2:10, 2:10], image[8:16, 8:16])
    np.testing.assert_array_equal(labels[3], mask[8:16, 8:16, 0])
    assert (labels[4, :5] == UNLABELLED).all()  # rows that the tile before has
    np.testing.assert_array_equal(labels[5, 5:], mask[16:, 8:, 0])


def test_masks_of_which_none_can_be_used_are_listed_with_the_reason(tmp_path: Path) -> None:
    """That no pixel of them is labelled would send the reader to look for 0 and 255."""
    root = write(tmp_path / "set", [(8, 8), (8, 8)])
    for path in (root / "masks").iterdir():
        Image.open(path).convert("RGB").save(path)
    with pytest.raises(NetspecError) as caught:
        census(open_data(str(root), holdout=0).training, 5)
    assert caught.value.message.startswith(f"{root}: holds no samples that can be used, 2 problems:")
    assert "expected a mask of class numbers, gray or by a palette, received one in colors (RGB)" in str(caught.value)
