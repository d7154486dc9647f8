"""Layouts of data sets: the samples, labels, classes and parts of each; here, behind URLs and in another process."""

import pickle
import subprocess
import sys
from pathlib import Path

import fsspec
import numpy as np
import pytest

from netspec.errors import NetspecError
from netspec.training.data.dataset import BadSampleError, Dataset
from netspec.training.data.findings import BadDataError
from netspec.training.data.images import decode_image
from netspec.training.data.parquet import ParquetDataset
from netspec.training.data.sources import open_data
from tests.training.data.source_files import SIDE, copied, encoded, pixels, write_folder, write_parquet
from tests.waiting import HANG


def brightness(dataset: Dataset, index: int) -> int:
    sample = dataset.read(index)
    image = decode_image(sample, gray=True) if isinstance(sample, bytes) else sample
    assert image.min() == image.max()
    return int(image.max())


def contents(dataset: Dataset) -> list[tuple[int, str]]:
    """Return the brightness and the class of each sample."""
    return [(brightness(dataset, index), dataset.classes[label]) for index, label in enumerate(dataset.labels)]


def undivided(path: Path | str) -> Dataset:
    splits = open_data(str(path), holdout=0)
    assert splits.validation is None
    return splits.training


def test_digits_are_scans_of_which_every_fifth_is_held_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    splits = open_data("digits")
    assert splits.validation is not None
    assert (len(splits.training), len(splits.validation)) == (1438, 359)
    first = splits.training.read(0)
    assert (first.shape, first.dtype) == ((8, 8, 1), np.uint8)
    # The file's first row is 0 0 5 13 9 1 0 0: 5 · 255 / 16 = 79.69, 13 · 255 / 16 = 207.19
    assert first[0, :5, 0].tolist() == [0, 0, 80, 207, 143]
    assert splits.training.labels[:6].tolist() == [0, 1, 2, 3, 5, 6]  # the file begins 0 1 2 3 4 5 6 7 8 9
    assert splits.validation.labels[:2].tolist() == [4, 9]
    assert splits.training.classes == tuple("0123456789")
    assert open_data("digits").training.fingerprint == splits.training.fingerprint != splits.validation.fingerprint


def test_a_path_named_digits_is_that_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / "digits", {"one": [1], "two": [2]})
    assert contents(undivided("digits")) == [(1, "one"), (2, "two")]


def test_class_folders_and_files_stand_in_the_order_of_their_names(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "set", {"dog": [9, 3], "cat": [7], "ant": [4, 5]})
    (root / "README.md").write_text("files beside the class folders are not samples")
    (root / "cat" / ".DS_Store").write_text("nor are hidden ones")
    (root / ".cache").mkdir()
    dataset = undivided(root)
    assert dataset.classes == ("ant", "cat", "dog")
    assert contents(dataset) == [(4, "ant"), (5, "ant"), (7, "cat"), (3, "dog"), (9, "dog")]
    assert dataset.describe(2) == str(root / "cat" / "007.png")
    assert dataset.images


def test_images_alone_will_do_where_labels_are_not_needed(tmp_path: Path) -> None:
    """In a folder of any name, and in the parts of a set, of which the one for validation is not used."""
    root = write_folder(tmp_path / "set", {"train": [3, 1], "val": [2]})
    alone = open_data(str(root / "train"), labelled=False)
    assert [brightness(alone.training, index) for index in range(2)] == [1, 3]
    assert (alone.training.classes, alone.validation) == (("train",), None)
    assert alone.training.origin == str(root / "train")
    assert alone.training.describe(1) == str(root / "train" / "003.png")
    parts = open_data(str(root), labelled=False)
    assert (len(parts.training), parts.validation) == (2, None)
    (root / "train" / "notes.txt").write_text("no image")
    with pytest.raises(BadDataError, match=r"notes\.txt: not an image, by its name"):
        open_data(str(root / "train"), labelled=False)
    with pytest.raises(NetspecError, match="expected a folder for each class"):
        open_data(str(root / "train"))


def test_labels_that_are_not_needed_are_not_in_the_way(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "train", {"dog": [9], "cat": [7]}).parent
    write_folder(tmp_path / "val", {"dog": [1], "cow": [2]})
    splits = open_data(str(root), labelled=False)
    assert contents(splits.training) == [(7, "cat"), (9, "dog")]
    assert splits.notes == (f"{root}: its validation part is not used",)


def test_names_of_files_need_not_be_ascii_nor_tell_the_format(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "set", {"naïve": [1], "日本": [2]})
    (root / "naïve" / "001.png").rename(root / "naïve" / "été 1")
    dataset = undivided(root)
    assert contents(dataset) == [(1, "naïve"), (2, "日本")]
    assert dataset.describe(0).endswith("naïve/été 1")


@pytest.mark.parametrize(("training", "validation"), [("train", "val"), ("training", "validation"), ("Train", "test")])
def test_folders_named_for_parts_divide_a_set(tmp_path: Path, training: str, validation: str) -> None:
    write_folder(tmp_path / "set" / training, {"a": [1, 2], "b": [3], "c": [4]})
    write_folder(tmp_path / "set" / validation, {"a": [5], "c": [6]})
    splits = open_data(str(tmp_path / "set"))
    assert splits.validation is not None
    assert contents(splits.training) == [(1, "a"), (2, "a"), (3, "b"), (4, "c")]
    assert contents(splits.validation) == [(5, "a"), (6, "c")]
    assert splits.validation.labels.tolist() == [0, 2]  # the training part's numbers
    assert splits.validation.classes == ("a", "b", "c")


def test_of_two_held_out_parts_one_is_read_and_the_other_noted(tmp_path: Path) -> None:
    for part in ("train", "test", "val"):
        write_folder(tmp_path / part, {"a": [1], "b": [2]})
    splits = open_data(str(tmp_path))
    assert splits.validation is not None
    assert splits.validation.origin == str(tmp_path / "val")
    assert splits.notes == (f"{tmp_path}: `val` is the validation set; `test` is not read",)


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "vehicles", {"car": [1], "train": [2]})
    assert contents(undivided(root)) == [(1, "car"), (2, "train")]


def test_a_folder_train_of_class_folders_alone_is_a_part(tmp_path: Path) -> None:
    write_folder(tmp_path / "set" / "train", {"a": [1], "b": [2]})
    assert contents(undivided(tmp_path / "set")) == [(1, "a"), (2, "b")]


@pytest.mark.parametrize("struct", [True, False])
def test_parquet_rows_in_any_order(tmp_path: Path, struct: bool) -> None:
    path = write_parquet(tmp_path / "set.parquet", [2, 0, 1, 1, 0, 2, 0, 1, 2, 0], struct=struct, group=3)
    dataset = undivided(path)
    assert dataset.labels.tolist() == [2, 0, 1, 1, 0, 2, 0, 1, 2, 0]
    assert dataset.classes == ("0", "1", "2")
    for index in (9, 0, 5, 3, 8, 2, 1, 7, 4, 6):
        assert dataset.read(index) == encoded(index)
    assert dataset.describe(7) == f"{path}, row 7"


def test_parquet_files_of_a_folder_are_one_set(tmp_path: Path) -> None:
    for number, labels in enumerate(([0, 1, 1], [], [2, 0])):
        write_parquet(tmp_path / f"{number}.parquet", labels)
    dataset = undivided(tmp_path)
    assert dataset.labels.tolist() == [0, 1, 1, 2, 0]
    assert [brightness(dataset, index) for index in range(5)] == [0, 1, 2, 0, 1]
    assert dataset.describe(3) == f"{tmp_path / '2.parquet'}, row 0"


def test_parquet_files_named_for_parts(tmp_path: Path) -> None:
    for name, labels in {
        "train-00001-of-00002": [1, 2],
        "train-00000-of-00002": [0],
        "test": [2, 2, 0],
        "extra": [0],
    }.items():
        write_parquet(tmp_path / f"{name}.parquet", labels)
    splits = open_data(str(tmp_path))
    assert splits.validation is not None
    assert splits.training.labels.tolist() == [0, 1, 2]
    assert splits.validation.labels.tolist() == [2, 2, 0]
    assert splits.notes == (f"{tmp_path}: not read, since named for no part: extra.parquet",)


def test_names_of_classes_in_parquet_metadata_and_in_a_column(tmp_path: Path) -> None:
    declared = write_parquet(tmp_path / "a.parquet", [1, 1], declared=["cat", "dog", "emu"])
    assert undivided(declared).classes == ("cat", "dog", "emu")
    column = write_parquet(tmp_path / "b.parquet", [2, 0, 2], names=["emu", "cat", "emu"])
    assert undivided(column).classes == ("cat", "1", "emu")
    of_samples = write_parquet(tmp_path / "c.parquet", [0, 1, 1], names=["IMG_1", "IMG_2", "IMG_3"])
    assert undivided(of_samples).classes == ("0", "1")


def test_parquet_keeps_a_limited_number_of_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netspec.training.data.parquet.CACHE_BYTES", 2 * 4 * len(encoded(1)) + 100)
    path = write_parquet(tmp_path / "set.parquet", [0, 1] * 20, group=4)
    splits = open_data(str(path), holdout=0)
    dataset = splits.training
    assert isinstance(dataset, ParquetDataset)
    for index in np.random.default_rng(0).permutation(40):
        assert brightness(dataset, int(index)) == index
        assert 1 <= len(dataset._held) <= 2
    assert "`netspec data prepare` it once" in splits.notes[0]


def test_a_null_image_is_a_bad_sample(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    struct = pa.array([{"bytes": None, "path": "a"}, None, {"bytes": encoded(1), "path": None}])
    pq.write_table(pa.table({"image": struct, "label": [0, 1, 0]}), tmp_path / "a.parquet")
    dataset = undivided(tmp_path / "a.parquet")
    for index in (0, 1):
        with pytest.raises(BadSampleError, match=rf"a\.parquet, row {index}: there is no image"):
            dataset.read(index)
    assert brightness(dataset, 2) == 1


IMAGES = np.stack([pixels(value)[..., 0] for value in range(6)])
NUMBERS = np.array([0, 1, 2, 2, 1, 0])


@pytest.mark.parametrize(("images", "labels"), [("image", "label"), ("images", "labels"), ("x", "y")])
def test_npz_of_one_part(tmp_path: Path, images: str, labels: str) -> None:
    np.savez_compressed(tmp_path / "set.npz", **{images: IMAGES, labels: NUMBERS})
    dataset = undivided(tmp_path / "set.npz")
    assert contents(dataset) == [(0, "0"), (1, "1"), (2, "2"), (3, "2"), (4, "1"), (5, "0")]
    assert dataset.read(0).shape == (SIDE, SIDE, 1)
    assert dataset.describe(3) == f"{tmp_path / 'set.npz'}: {images}, row 3"


@pytest.mark.parametrize("pattern", ["x_{}/y_{}", "{}_images/{}_labels"])
def test_npz_of_two_parts(tmp_path: Path, pattern: str) -> None:
    images, labels = pattern.split("/")
    arrays = {
        images.format("train"): IMAGES[:4],
        labels.format("train"): NUMBERS[:4, None],  # (N, 1), as Keras has CIFAR-10's
        images.format("test"): IMAGES[4:],
        labels.format("test"): NUMBERS[4:].astype(np.uint8),
        "something_else": np.arange(3),
    }
    np.savez(tmp_path / "set.npz", **arrays)
    splits = open_data(str(tmp_path / "set.npz"))
    assert splits.validation is not None
    assert contents(splits.training) == [(0, "0"), (1, "1"), (2, "2"), (3, "2")]
    assert contents(splits.validation) == [(4, "1"), (5, "0")]


@pytest.mark.parametrize("encoding", [None, "utf-8"])
def test_npz_of_features_with_names_of_classes(tmp_path: Path, encoding: str | None) -> None:
    features = np.random.default_rng(0).standard_normal((6, 2, 3))
    names = np.array(["a", "b", "café", "d"])
    stored = np.char.encode(names, encoding) if encoding else names
    np.savez(tmp_path / "set.npz", x=features, y=NUMBERS, classes=stored)
    dataset = undivided(tmp_path / "set.npz")
    assert not dataset.images
    assert dataset.classes == ("a", "b", "café", "d")
    assert (dataset.read(4) == features[4]).all()


def write_all(root: Path) -> list[Path]:
    """Write a set of at least four samples in each layout."""
    np.savez(root / "set.npz", x=IMAGES, y=NUMBERS)
    folder = write_folder(root / "folder", {"a": [1, 2], "b": [3, 4]})
    return [root / "set.npz", folder, write_parquet(root / "set.parquet", [0, 1, 2, 0, 1])]


def test_a_pickled_dataset_reads_the_same_and_takes_no_samples_with_it(tmp_path: Path) -> None:
    for path in write_all(tmp_path):
        dataset = undivided(path)
        before = [brightness(dataset, index) for index in range(len(dataset))]
        copy = copied(dataset)
        assert [brightness(copy, index) for index in range(len(copy))] == before
        assert (copy.labels == dataset.labels).all()
        content = pickle.dumps(dataset)
        assert encoded(1) not in content
        assert IMAGES[1].tobytes() not in content


def test_urls_are_read_like_paths(tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    for path in write_all(tmp_path):
        memory.put(str(path), f"/bucket/{path.name}", recursive=True)
        here = undivided(path)
        for url in (f"file://{path}", f"local://{path}", f"memory://bucket/{path.name}"):
            there = copied(undivided(url))
            assert contents(there) == contents(here)
            assert there.fingerprint == here.fingerprint
        assert there.describe(1).startswith(f"memory://bucket/{path.name}")
    memory.rm("/bucket", recursive=True)


def test_a_divided_set_behind_a_url(tmp_path: Path) -> None:
    write_folder(tmp_path / "set" / "train", {"a": [1], "b": [2]})
    write_folder(tmp_path / "set" / "val", {"b": [3]})
    splits = open_data(f"local://{tmp_path}/set")
    assert splits.validation is not None
    assert contents(splits.validation) == [(3, "b")]


def test_a_fingerprint_depends_on_content_and_order_but_not_on_paths_and_times(tmp_path: Path) -> None:
    rows = {"a": [0, 1], "b": [0, 1], "c": [1, 0]}
    a, b, c = (write_parquet(tmp_path / name / "x.parquet", labels) for name, labels in rows.items())
    assert undivided(a).fingerprint == undivided(b).fingerprint != undivided(c).fingerprint
    first = undivided(write_folder(tmp_path / "first", {"a": [1], "b": [2, 3]})).fingerprint
    assert first == undivided(write_folder(tmp_path / "other", {"a": [1], "b": [2, 3]})).fingerprint
    assert first != undivided(write_folder(tmp_path / "third", {"a": [1, 2], "b": [3]})).fingerprint
    (tmp_path / "first" / "a" / "001.png").write_bytes(encoded(200, 20, 20))
    assert first != undivided(tmp_path / "first").fingerprint
    np.savez(tmp_path / "a.npz", x=IMAGES, y=NUMBERS)
    np.savez(tmp_path / "b.npz", x=IMAGES[::-1], y=NUMBERS)
    assert undivided(tmp_path / "a.npz").fingerprint != undivided(tmp_path / "b.npz").fingerprint


def test_local_data_imports_neither_fsspec_nor_what_its_layout_does_not_need(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "set", {"a": [1], "b": [2]})
    script = (
        "import sys; from netspec.training.data.sources import open_data\n"
        f"open_data({str(root)!r}).training.read(0)\n"
        "assert not {'fsspec', 'pyarrow', 'sklearn', 'PIL', 'grain'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=HANG)
