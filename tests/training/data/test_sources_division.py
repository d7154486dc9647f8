"""Division of data: samples held back for validation, another set for it, and one numbering of the classes."""

from pathlib import Path

import numpy as np
import pytest

from netspec.errors import NetspecError
from netspec.training.data.dataset import Dataset
from netspec.training.data.sources import open_data
from tests.training.data.source_files import write_folder, write_parquet

LABELS = [0, 1] * 10


def rows(dataset: Dataset | None) -> list[int]:
    assert dataset is not None
    return [int(dataset.describe(index).rpartition(" ")[2]) for index in range(len(dataset))]


def test_a_tenth_is_held_back_and_reported(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "set.parquet", LABELS)
    splits = open_data(str(path))
    assert len(rows(splits.validation)) == 2
    assert sorted(rows(splits.training) + rows(splits.validation)) == list(range(20))
    assert splits.notes == (f"{path}: 2 of 20 samples, drawn with seed 0, are held back for validation",)


def test_the_seed_decides_what_is_held_back(tmp_path: Path) -> None:
    path = str(write_parquet(tmp_path / "set.parquet", LABELS))
    splits = {seed: open_data(path, holdout=0.4, seed=seed) for seed in (0, 1)}
    held = {seed: rows(each.validation) for seed, each in splits.items()}
    assert held[0] == rows(open_data(path, holdout=0.4, seed=0).validation)
    assert len(held[0]) == len(held[1]) == 8
    assert held[0] != held[1] != list(range(8))
    assert splits[0].training.fingerprint != splits[1].training.fingerprint
    for each in splits.values():
        assert (each.training.labels == np.array(LABELS)[rows(each.training)]).all()


def test_neither_part_of_a_small_set_is_empty(tmp_path: Path) -> None:
    path = str(write_parquet(tmp_path / "set.parquet", [0, 1, 0]))
    assert len(rows(open_data(path, holdout=0.01).validation)) == 1
    assert len(rows(open_data(path, holdout=0.99).training)) == 1
    assert open_data(path, holdout=0).validation is None


@pytest.mark.parametrize("share", [1.0, -0.1, 2])
def test_a_share_is_below_one(tmp_path: Path, share: float) -> None:
    with pytest.raises(NetspecError, match="expected a share from 0 up to, not including, 1, received"):
        open_data(str(write_parquet(tmp_path / "set.parquet", LABELS)), holdout=share)


def test_a_divided_set_is_not_divided_again(tmp_path: Path) -> None:
    for name in ("train", "test"):
        write_parquet(tmp_path / f"{name}.parquet", LABELS)
    with pytest.raises(NetspecError, match="has a validation part already") as caught:
        open_data(str(tmp_path), holdout=0.2)
    assert "--holdout" in caught.value.hint


def test_another_set_can_be_used_for_validation(tmp_path: Path) -> None:
    training = write_folder(tmp_path / "a", {"ant": [1], "bee": [2], "cat": [3]})
    validation = write_folder(tmp_path / "b", {"cat": [4], "ant": [5, 6]})
    splits = open_data(str(training), validation=str(validation))
    assert splits.validation is not None
    assert splits.validation.labels.tolist() == [0, 0, 2]
    assert splits.validation.classes == splits.training.classes == ("ant", "bee", "cat")
    assert splits.notes == ()


def test_another_set_replaces_the_validation_part(tmp_path: Path) -> None:
    for name in ("train", "test"):
        write_parquet(tmp_path / "set" / f"{name}.parquet", LABELS)
    other = write_parquet(tmp_path / "other.parquet", [1, 0, 1])
    splits = open_data(str(tmp_path / "set"), validation=str(other))
    assert splits.validation is not None
    assert splits.validation.labels.tolist() == [1, 0, 1]
    assert splits.notes == (f"{tmp_path / 'set'}: its own validation part is not used",)
    with pytest.raises(NetspecError, match="is divided into a training and a validation part itself"):
        open_data(str(other), validation=str(tmp_path / "set"))
    with pytest.raises(NetspecError, match="exclude each other"):
        open_data(str(other), validation=str(other), holdout=0.1)


def test_classes_that_are_not_trained_are_named(tmp_path: Path) -> None:
    training = write_folder(tmp_path / "a", {"ant": [1], "bee": [2]})
    validation = write_folder(tmp_path / "b", {"ant": [4], "asp": [5], "fly": [6]})
    with pytest.raises(NetspecError, match=rf"{validation}: has classes that {training} does not have: asp, fly\n"):
        open_data(str(training), validation=str(validation))
    numbered = write_parquet(tmp_path / "a.parquet", [0, 1, 2])
    beyond = write_parquet(tmp_path / "b.parquet", [0, 4])
    with pytest.raises(NetspecError, match=r"does not have: 4\n"):
        open_data(str(numbered), validation=str(beyond))


def test_names_come_before_numbers(tmp_path: Path) -> None:
    training = write_parquet(tmp_path / "a.parquet", [0, 1, 2], declared=["ant", "bee", "cat"])
    validation = write_parquet(tmp_path / "b.parquet", [0, 1], declared=["cat", "ant"])
    splits = open_data(str(training), validation=str(validation))
    assert splits.validation is not None
    assert splits.validation.labels.tolist() == [2, 0]


def test_folders_named_by_numbers_keep_them(tmp_path: Path) -> None:
    training = write_folder(tmp_path / "a", {"0": [1], "1": [2], "2": [3]})
    validation = write_folder(tmp_path / "b", {"2": [4], "1": [5]})
    splits = open_data(str(training), validation=str(validation))
    assert splits.validation is not None
    assert splits.validation.labels.tolist() == [1, 2]


def test_numbers_alone_are_the_numbers_of_named_classes(tmp_path: Path) -> None:
    training = write_folder(tmp_path / "a", {"ant": [1], "bee": [2], "cat": [3]})
    validation = write_parquet(tmp_path / "b.parquet", [2, 0])
    splits = open_data(str(training), validation=str(validation))
    assert splits.validation is not None
    assert splits.validation.labels.tolist() == [2, 0]
    assert splits.notes == (f"{validation}: its labels are taken for the class numbers of {training}",)


def test_a_class_name_that_occurs_twice_keeps_its_number(tmp_path: Path) -> None:
    names = ["crane", "ant", "crane"]
    training = write_parquet(tmp_path / "a.parquet", [0, 1, 2], declared=names)
    validation = write_parquet(tmp_path / "b.parquet", [2, 0, 1], declared=[*names, "unused"])
    splits = open_data(str(training), validation=str(validation))
    assert splits.validation is not None
    assert splits.validation.labels.tolist() == [2, 0, 1]


def test_images_are_not_validated_with_features(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 5, 5), np.uint8), y=[0, 1])
    np.savez(tmp_path / "b.npz", x=np.zeros((2, 5)), y=[0, 1])
    with pytest.raises(NetspecError, match=r"a\.npz has images, and .*b\.npz has features"):
        open_data(str(tmp_path / "a.npz"), validation=str(tmp_path / "b.npz"))


def test_classes_without_a_sample_to_train_on_are_noted(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", [0, 2], declared=["ant", "bee", "cat", "dog"])
    assert open_data(str(path), holdout=0).notes == (f"{path}: no sample to train on of bee, dog",)
