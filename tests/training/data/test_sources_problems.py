"""Problems of a set are reported when it is opened: all of them, with their places, or left out with a note."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.registry import known_implementations

from netspec.errors import NetspecError
from netspec.training.data.dataset import BadSampleError
from netspec.training.data.findings import BadDataError
from netspec.training.data.sources import open_data
from tests.training.data.source_files import copied, cut, encoded, write_folder, write_parquet


def error(path: Path | str, **options: Any) -> str:
    with pytest.raises(NetspecError) as caught:
        open_data(str(path), **options)
    return str(caught.value)


def test_a_wrong_path_suggests_what_is_there(tmp_path: Path) -> None:
    write_folder(tmp_path / "flowers", {"a": [1], "b": [2]})
    expected = f"{tmp_path / 'flower'}: there is no such file or folder\nhint: did you mean {tmp_path / 'flowers'}?"
    assert error(tmp_path / "flower") == expected
    assert error(tmp_path / "no" / "such") == f"{tmp_path / 'no' / 'such'}: there is no such file or folder"
    assert "did you mean digits?" in error("digit")
    assert "flowers?" in error(f"local://{tmp_path}/flower")
    assert "received nothing" in error("")


def test_a_protocol_that_is_not_known_and_one_whose_package_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "nosuch://bucket/x: cannot be read: ValueError: Protocol not known: nosuch" in error("nosuch://bucket/x")
    entry = {"class": "no_such_package.FileSystem", "err": "Install no_such_package to go there"}
    monkeypatch.setitem(known_implementations, "absent", entry)
    assert "absent://x: cannot be opened: Install no_such_package to go there" in error("absent://x")


def test_paths_without_data_are_errors(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    assert "notes.txt: not data that can be read" in error(tmp_path / "notes.txt")
    assert "expected a folder for each class, or .parquet or .npz files, received 1 other file\n" in error(tmp_path)
    shutil.copy(write_parquet(tmp_path / "a.parquet", [0, 1]), write_folder(tmp_path / "deeper", {"data": []}) / "data")
    deeper = tmp_path / "deeper"
    assert error(deeper) == (
        f"{deeper}: its folder data has files of data, not images of a class\nhint: name {deeper}/data"
    )
    (tmp_path / "empty").mkdir()
    assert "received an empty folder" in error(tmp_path / "empty")


def test_a_link_to_nothing_is_not_what_was_meant_instead(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("gone")
    expected = f"{tmp_path}/link: there is no such file or folder\nhint: it is a link to nothing"
    assert error(tmp_path / "link") == expected


def test_every_problem_of_a_folder_is_listed_with_its_path(tmp_path: Path) -> None:
    root = write_folder(tmp_path, {"a": [1, 2], "b": [3], "empty": [], "nested": []})
    write_folder(root / "nested", {"deeper": [4]})
    (root / "a" / "zero.jpg").touch()
    (root / "b" / "labels.csv").write_text("x")
    (root / "b" / "gone.png").symlink_to(root / "nowhere.png")
    message = error(root)
    assert message.splitlines() == [
        f"{root}: 5 problems:",
        f"  {root}/a/zero.jpg: an empty file",
        f"  {root}/b/gone.png: not a file, or a link to nothing",
        f"  {root}/b/labels.csv: not an image, by its name",
        f"  {root}/empty: no images of this class",
        f"  {root}/nested: no images of this class, only folders, which are not searched",
        "hint: repair them, or go on without them: --on-bad-sample skip",
    ]
    splits = open_data(str(root), holdout=0, on_bad_sample="skip")
    assert [Path(splits.training.describe(index)).name for index in range(3)] == ["001.png", "002.png", "003.png"]
    assert splits.training.classes == ("a", "b", "empty", "nested")
    assert splits.notes[0].startswith(f"{root}: left out, 5 problems:\n  {root}/a/zero.jpg: an empty file\n")
    assert splits.notes[1] == f"{root}: no sample to train on of empty, nested"


def test_of_many_problems_the_first_are_listed(tmp_path: Path) -> None:
    root = write_folder(tmp_path, {"a": [1], "b": []})
    for number in range(33):
        (root / "b" / f"{number:02d}.jpg").touch()
    lines = error(root).splitlines()
    assert lines[0] == f"{root}: 33 problems:"
    assert lines[20:22] == [f"  {root}/b/19.jpg: an empty file", "  … and 13 more"]


def test_nothing_left_is_an_error_even_where_problems_are_not_fatal(tmp_path: Path) -> None:
    root = write_folder(tmp_path, {"a": [], "b": []})
    problems = f"2 problems:\n  {root}/a: no images of this class\n  {root}/b: no images of this class"
    for on_bad_sample in ("skip", "fatal"):  # the hint to skip them would lead nowhere
        assert error(root, on_bad_sample=on_bad_sample) == f"{root}: holds no samples that can be used, {problems}"


def test_folders_that_hold_folders_alone_are_not_those_of_classes(tmp_path: Path) -> None:
    write_folder(tmp_path / "set" / "data", {"a": [1], "b": [2]})
    assert error(tmp_path / "set") == (
        f"{tmp_path}/set: expected a folder of images for each class, received folders in data\n"
        f"hint: name {tmp_path}/set/data, if the folders in it are those of the classes"
    )
    assert len(open_data(f"{tmp_path}/set/data", holdout=0).training) == 2
    for name in ("a", "b"):
        write_folder(tmp_path / "nested" / name, {"more": [1]})
    assert "received folders in a, b\nhint: put the images of a class into its folder" in error(tmp_path / "nested")


@pytest.mark.parametrize(
    ("labels", "hint"),
    [
        ([0.0, 1.0, 2.0], "hint: labels.astype('int64') makes integers of them"),
        ([True, False, True], "hint: labels.astype('int64') makes integers of them"),
        ([0.5, 1.5, np.nan], "hint: names, labels = np.unique(labels, return_inverse=True) numbers them"),
        (["cat", "dog", "cat"], "hint: names, labels = np.unique(labels, return_inverse=True) numbers them"),
    ],
)
def test_labels_that_are_no_integers_have_a_hint(tmp_path: Path, labels: list[object], hint: str) -> None:
    np.savez(tmp_path / "set.npz", x=np.zeros((3, 4, 4, 3), np.uint8), y=np.array(labels))
    assert error(tmp_path / "set.npz").splitlines()[1] == hint


def test_labels_that_are_not_class_numbers_are_listed(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "set.parquet", [0, -1, 3, None, 1, 2], declared=["a", "b", "c"])
    assert error(path).splitlines()[:4] == [
        f"{path}: 3 problems:",
        f"  {path}, row 1: expected a label from 0 to 2, received -1",
        f"  {path}, row 2: expected a label from 0 to 2, received 3",
        f"  {path}, row 3: expected a label from 0 to 2, received none (null)",
    ]
    dataset = open_data(str(path), holdout=0, on_bad_sample="skip").training
    assert dataset.labels.tolist() == [0, 1, 2]
    assert dataset.read(1) == encoded(4)


def test_a_damaged_label_does_not_make_a_billion_classes(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "set.parquet", [0, 1_000_000_000])
    assert "row 1: expected a label from 0 to 99999, received 1000000000" in error(path)
    np.savez(tmp_path / "set.npz", x=np.zeros((2, 4, 4), np.uint8), y=np.array([2**63 + 5, 0], np.uint64))
    assert "set.npz: y, row 0: expected a label from 0 to 99999, received 9223372036854775813" in error(
        tmp_path / "set.npz"
    )


@pytest.mark.parametrize(
    ("columns", "has"),
    [
        ({"img": [b"x"], "label": [0]}, "`img` (binary), `label` (int64)"),
        ({"image": [b"x"], "label": ["cat"]}, "`image` (binary), `label` (string)"),
        ({"image": ["x.png"], "label": [0]}, "`image` (string), `label` (int64)"),
        ({"image": [{"path": "x"}], "label": [0]}, "`image` (struct<path: string>), `label` (int64)"),
    ],
)
def test_other_columns_are_named(tmp_path: Path, columns: dict[str, list[Any]], has: str) -> None:
    pq.write_table(pa.table(columns), tmp_path / "set.parquet")
    expected = "`image` (binary, or a struct with `bytes`) and `label` (an integer)"
    assert f"set.parquet: expected the columns {expected}, received {has}" in error(tmp_path)


def test_parquet_that_is_cut_short(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", [0, 1])
    cut(write_parquet(tmp_path / "b.parquet", [0, 1]), 0.7)
    (tmp_path / "c.parquet").write_bytes(b"")
    message = error(tmp_path)
    assert f"{tmp_path}: 2 problems:\n  {tmp_path / 'b.parquet'}: cut short, or not Parquet: " in message
    assert f"{tmp_path / 'c.parquet'}: cut short, or not Parquet: " in message
    splits = open_data(str(tmp_path), holdout=0, on_bad_sample="skip")
    assert splits.training.labels.tolist() == [0, 1]
    with pytest.raises(BadDataError):
        open_data(str(tmp_path / "b.parquet"))


def test_a_page_that_is_damaged_is_a_bad_sample(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "set.parquet", [0, 1] * 4, group=4)
    dataset = open_data(str(path), holdout=0).training
    content = bytearray(path.read_bytes())
    content[4:40] = b"\xff" * 36  # the first page of the first row group
    path.write_bytes(content)
    with pytest.raises(BadSampleError, match=r"set\.parquet, row 2: cannot be read"):
        dataset.read(2)
    assert dataset.read(6) == encoded(6)


def test_a_file_that_vanishes_is_a_bad_sample(tmp_path: Path) -> None:
    for url in (str(tmp_path), f"local://{tmp_path}"):
        write_folder(tmp_path, {"a": [1], "b": [2]})
        dataset = copied(open_data(url, holdout=0).training)
        for name in ("a", "b"):
            (tmp_path / name / f"00{'ab'.index(name) + 1}.png").unlink()
            (tmp_path / name).rmdir()
        with pytest.raises(BadSampleError, match=r"a/001\.png: cannot be read"):
            dataset.read(0)


def test_files_that_name_a_class_differently(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", [0], declared=["ant", "bee"])
    write_parquet(tmp_path / "b.parquet", [0], declared=["bee", "ant"])
    assert "b.parquet: label 0 is 'bee', and 'ant' in another file" in error(tmp_path)


IMAGES = np.zeros((4, 5, 5), np.uint8)
LABELS = np.arange(4)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": IMAGES, "b": LABELS}, "holds no samples; it has `a`, `b`"),
        ({"x": IMAGES}, "labels are missing beside `x`; it has `x`"),
        ({"y_train": LABELS}, "samples are missing beside `y_train`"),
        (
            {"x_test": IMAGES, "y_test": LABELS},
            "expected one part to train on, named `train` or `training`, received none",
        ),
        ({"x": IMAGES, "y": LABELS, "x_train": IMAGES, "y_train": LABELS}, "received one without a name, `train`"),
        ({"x": IMAGES, "images": IMAGES, "y": LABELS}, "holds samples twice: `x`, `images`"),
        ({"x": IMAGES, "y": LABELS[:3]}, "`x` has 4 samples, and `y` 3 labels"),
        ({"x": IMAGES, "y": np.eye(4)}, "`y`: expected class numbers, integers (N,), received float64 (4, 4)"),
        ({"x": IMAGES, "y": LABELS + 0.5}, "expected class numbers, integers (N,), received float64 (4,)"),
        ({"x": IMAGES.astype(int), "y": LABELS}, "(uint8) or features (floating), received int64 (4, 5, 5)"),
        ({"x": IMAGES[0], "y": LABELS}, "received uint8 (5, 5)"),
        ({"x": np.zeros((4, 3, 8, 8), np.uint8), "y": LABELS}, "channels last: .transpose(0, 2, 3, 1)"),
        ({"x": np.zeros((4, 8, 8, 4), np.uint8), "y": LABELS}, "[..., :3] leaves out an alpha channel"),
        ({"x": IMAGES, "y": np.array(["cat", "dog"] * 2)}, "np.unique(labels, return_inverse=True)"),
        ({"x": IMAGES, "masks": np.ones((4, 5, 5), bool)}, "a class number for each pixel: .astype('uint8')"),
        ({"x": IMAGES, "y": LABELS, "classes": np.array([b"\xff"] * 4)}, "`classes`: expected names in UTF-8"),
        ({"x": np.zeros((4, 0, 8), np.uint8), "y": LABELS}, "the samples are empty, (4, 0, 8)"),
        ({"x": np.zeros(4), "y": LABELS}, "expected features of shape (N, …), received (4,)"),
        ({"x": np.array([None, 1], object), "y": LABELS}, "an array of dtype object is a pickle"),
        ({"x": IMAGES[:0], "y": LABELS[:0]}, "set.npz: holds no samples"),
        (
            {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES[:0], "y_test": LABELS[:0]},
            "set.npz: its validation part holds no samples",
        ),
    ],
)
def test_arrays_that_do_not_form_a_set_are_errors(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    np.savez(tmp_path / "set.npz", **arrays)
    assert message in error(tmp_path / "set.npz")


def test_features_that_are_not_finite(tmp_path: Path) -> None:
    features = np.zeros((4, 2))
    features[1, 0], features[2, 1] = np.nan, np.inf
    np.savez(tmp_path / "set.npz", x=features, y=[0, 1, 2, -3])
    message = error(tmp_path / "set.npz")
    assert ": 3 problems:" in message
    assert "set.npz: `x`, row 1: holds NaN or infinite values" in message
    assert "set.npz: `x`, row 2: holds NaN or infinite values" in message
    dataset = open_data(str(tmp_path / "set.npz"), holdout=0, on_bad_sample="skip").training
    assert dataset.labels.tolist() == [0]


def test_npz_that_is_damaged(tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", x=IMAGES, y=LABELS)
    content = (tmp_path / "set.npz").read_bytes()
    position = content.index(b"\x93NUMPY") + 140  # a pixel: the archive's checksum tells
    (tmp_path / "set.npz").write_bytes(content[:position] + b"\x07" + content[position + 1 :])
    assert "`x` cannot be read: Bad CRC-32" in error(tmp_path / "set.npz")
    (tmp_path / "set.npz").write_bytes(content[: len(content) // 2])
    assert "set.npz: cut short, or no .npz file" in error(tmp_path / "set.npz")


def test_folders_that_could_be_read_in_two_ways(tmp_path: Path) -> None:
    write_folder(tmp_path / "both", {"a": [1]})
    write_parquet(tmp_path / "both" / "b.parquet", [0])
    assert "holds files of data and folders beside them: b.parquet, a\nhint: name one of them" in error(
        tmp_path / "both"
    )
    write_folder(tmp_path / "twice" / "train", {"a": [1]})
    write_parquet(tmp_path / "twice" / "train.parquet", [0])
    write_parquet(tmp_path / "twice" / "test.parquet", [0])
    assert "expected one folder or files for a part, received train, train.parquet" in error(tmp_path / "twice")
    write_parquet(tmp_path / "held" / "test.parquet", [0])
    assert "expected one part to train on, named `train` or `training`, received none" in error(tmp_path / "held")
