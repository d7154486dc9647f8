"""`netspec data`: check and prepare."""

import json
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from netspec.training.data.sources import open_data
from tests.cli.conftest import Run, interruptible, process
from tests.training.data.source_files import cut, encoded, write_folder, write_parquet
from tests.training.data.test_masks import write as write_masked
from tests.waiting import HANG, wait_until


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Two class folders, each with an image of another size."""
    root = write_folder(tmp_path / "source", {"ant": [1, 2, 3], "bee": [4, 5]})
    (root / "ant" / "wide.png").write_bytes(encoded(6, 7, 30))
    (root / "bee" / "small.png").write_bytes(encoded(7, 4, 5))
    return root


def test_check_prints_a_table_of_a_usable_set(netspec: Run, source: Path) -> None:
    code, out, err = netspec("data", "check", source)
    assert (code, err) == (0, "")
    assert [line.split() for line in out.splitlines()[:2]] == [
        ["part", "samples", "bad", "classes", "a", "class", "smallest", "largest"],
        ["training", "7", "0", "2", "3", "to", "4", "4x5", "7x30"],
    ]
    assert out.splitlines()[2:] == [f"✓ {source}: all of 7 samples can be used"]


def test_check_lists_unusable_files_and_fails(netspec: Run, source: Path) -> None:
    cut(source / "ant" / "002.png")
    (source / "bee" / "none.jpg").touch()
    (source / "bee" / "text.jpg").write_text("no image")
    code, out, err = netspec("data", "check", source, "--workers", 2)
    assert code == 1
    assert out.splitlines()[1].split() == ["training", "6", "2", "2", "3", "4x5", "7x30"]
    lines = err.splitlines()
    assert lines[0] == f"error: {source}: 3 problems:"
    assert lines[1] == f"  {source}/bee/none.jpg: an empty file"
    assert lines[2].startswith(f"  {source}/ant/002.png: ")
    assert lines[3].startswith(f"  {source}/bee/text.jpg: ")


def test_warnings_of_pillow_are_not_printed(source: Path) -> None:
    """The orientation in the EXIF data is truncated, but the image is readable."""
    path = next(source.rglob("*.png"))
    Image.open(path).save(path.with_suffix(".jpg"))
    data = path.with_suffix(".jpg").read_bytes()
    exif = b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12\0\3\xff\xff\xff\xff" + bytes(6)
    path.with_suffix(".jpg").write_bytes(data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2) + exif + data[2:])
    done = process("data", "check", source)
    assert (done.returncode, done.stderr) == (0, "")


def test_check_as_json(netspec: Run, tmp_path: Path) -> None:
    write_parquet(tmp_path / "train.parquet", [0, 2, 2, -1], declared=["ant", "bee", "cat"])
    write_parquet(tmp_path / "test.parquet", [1])
    code, out, _ = netspec("data", "check", tmp_path, "--json")
    assert code == 1
    report = json.loads(out)
    training, validation = report["parts"]
    assert training["counts"] == [1, 0, 2]
    assert training["classes"] == {"0": "ant", "1": "bee", "2": "cat"}
    assert (validation["role"], validation["samples"], validation["smallest"]) == ("validation", 1, [6, 6])
    assert report["problems"] == [f"{tmp_path}/train.parquet, row 3: expected a label from 0 to 2, received -1"]
    assert report["notes"] == [f"{tmp_path / 'train.parquet'}: no sample to train on of bee"]


def test_check_finds_parts_that_do_not_belong_together(netspec: Run, tmp_path: Path) -> None:
    write_folder(tmp_path / "train", {"ant": [1], "bee": [2]})
    write_folder(tmp_path / "val", {"ant": [3], "cat": [4]})
    code, _, err = netspec("data", "check", tmp_path)
    message = f"{tmp_path}/val: has classes that {tmp_path}/train does not have: cat"
    assert (code, err) == (1, f"error: {tmp_path}: 1 problem:\n  {message}\n")


def test_check_of_a_missing_folder_is_an_error(netspec: Run, tmp_path: Path) -> None:
    code, out, err = netspec("data", "check", tmp_path / "absent")
    assert (code, out) == (2, "")
    assert err == f"error: {tmp_path / 'absent'}: there is no such file or folder\n"


def test_check_of_a_set_without_samples_fails(netspec: Run, tmp_path: Path) -> None:
    file = tmp_path / "empty.npz"
    np.savez(file, x=np.zeros((0, 8, 8, 1), np.uint8), y=np.zeros(0, np.int64))
    code, _, err = netspec("data", "check", file)
    assert (code, err) == (1, f"error: {file}: 1 problem:\n  {file}: holds no samples\n")


def test_prepare_writes_what_training_opens(netspec: Run, source: Path, tmp_path: Path) -> None:
    arguments = ("--side", 5, "--gray", "--holdout", 0.3, "--seed", 1)
    code, out, err = netspec("data", "prepare", source, tmp_path / "out", *arguments)
    assert code == 0
    assert [line.split() for line in out.splitlines()[:3]] == [
        ["part", "images", "each", "files", "size"],
        ["training", "5", "5x5x1", "1", "421", "B"],  # two headers of 128, 5 labels of 8, 5 images of 25
        ["validation", "2", "5x5x1", "1", "322", "B"],
    ]
    assert out.splitlines()[3] == f"✓ {tmp_path / 'out'}"
    assert err == f"note: {source}: 2 of 7 samples, drawn with seed 1, are held back for validation\n"
    assert len(open_data(str(tmp_path / "out")).training) == 5


def test_prepare_lists_the_samples_that_it_left_out(netspec: Run, source: Path, tmp_path: Path) -> None:
    cut(source / "ant" / "002.png")
    arguments = ("data", "prepare", source, tmp_path / "out", "--side", 5, "--holdout", 0)
    code, _, err = netspec(*arguments)
    assert code == 2
    assert f"error: {source}: 1 problem:\n  {source}/ant/002.png: " in err
    assert not (tmp_path / "out").exists()
    code, out, err = netspec(*arguments, "--on-bad-sample", "skip")
    assert code == 0
    assert out.splitlines()[1].split()[:2] == ["training", "6"]
    assert f"note: left out, 1 sample:\n  {source}/ant/002.png: " in err


def test_prepare_takes_another_set_to_validate_with(netspec: Run, tmp_path: Path) -> None:
    training = write_parquet(tmp_path / "a.parquet", [0, 1, 0])
    validation = write_parquet(tmp_path / "b.parquet", [1, 0])
    code, out, err = netspec("data", "prepare", training, tmp_path / "out", "--validation", validation)
    assert (code, err) == (0, "")
    assert [line.split()[:3] for line in out.splitlines()[1:3]] == [
        ["training", "3", "6x6x3"],
        ["validation", "2", "6x6x3"],
    ]


@pytest.mark.parametrize("name", ["check", "prepare"])
def test_each_has_help_with_examples_and_sources(netspec: Run, name: str) -> None:
    code, out, _ = netspec("data", name, "--help")
    assert code == 0
    assert f"Examples:\n    netspec data {name}" in out
    assert "What SRC is" in out


def test_ctrl_c_ends_a_preparation_and_leaves_nothing(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "source", {"ant": [1], "bee": []})
    (source / "bee" / "big.png").write_bytes(encoded(2, 3000, 3000))
    for number in range(300):
        (source / "bee" / f"{number}.png").hardlink_to(source / "bee" / "big.png")
    with interruptible("-m", "netspec", "data", "prepare", source, tmp_path / "out", "--side", "64") as running:
        wait_until(lambda: list(tmp_path.glob(".out-*")) or running.poll() is not None, "the folder of the result")
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=HANG)
    assert (running.returncode, err) == (130, "error: interrupted\n")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_prepare_counts_masks_among_the_files(netspec: Run, tmp_path: Path) -> None:
    root = write_masked(tmp_path / "cells", [(8, 8)] * 4)
    code, out, _ = netspec("data", "prepare", root, tmp_path / "out", "--side", 6, "--gray", "--holdout", 0)
    assert code == 0
    assert [line.split() for line in out.splitlines()[:2]] == [
        ["part", "images", "and", "masks", "each", "files", "size"],
        ["training", "4", "6x6x1", "2", "704", "B"],  # four times 36 of both, four labels of 8, headers of 128
    ]
