"""A prepared set: the same samples, decoded once; written completely or not at all; damage is found on opening."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from netspec.errors import NetspecError
from netspec.training.data.check import check_data
from netspec.training.data.dataset import BadSampleError, Dataset
from netspec.training.data.findings import BadDataError
from netspec.training.data.images import decoded, resize_square
from netspec.training.data.prepare import prepare
from netspec.training.data.shards import shard_name
from netspec.training.data.sources import open_data
from tests.training.data.source_files import copied, cut, encoded, pixels, write_folder, write_parquet


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a set of five and three images, some wide, some high."""
    for part, sizes in {"train": [(8, 12), (9, 6), (6, 6), (20, 7), (6, 7)], "val": [(6, 9), (8, 8), (7, 6)]}.items():
        write_folder(tmp_path / "source" / part, {"ant": [], "bee": []})
        for number, (height, width) in enumerate(sizes):
            path = tmp_path / "source" / part / ("ant", "bee")[number % 2] / f"{number}.png"
            path.write_bytes(encoded(10 * number, height, width))
    return tmp_path / "source"


def images(dataset: Dataset | None) -> list[Any]:
    assert dataset is not None
    return [dataset.read(index) for index in range(len(dataset))]


def test_a_prepared_set_holds_the_same_samples(source: Path, tmp_path: Path) -> None:
    manifest = prepare(str(source), tmp_path / "out", side=6)
    assert manifest.shape == (6, 6, 3)
    before, after = open_data(str(source)), open_data(str(tmp_path / "out"))
    for old, new in ((before.training, after.training), (before.validation, after.validation)):
        assert old is not None
        assert new is not None
        assert new.classes == old.classes
        assert new.labels.tolist() == old.labels.tolist()
        for index, image in enumerate(images(new)):
            assert (image == resize_square(decoded(old, index), 6)).all()
    assert not images(after.training)[0].flags.writeable
    assert after.training.describe(3) == f"{tmp_path / 'out' / 'training' / '00000.npy'}, row 3"


def test_gray_keeps_one_channel(source: Path, tmp_path: Path) -> None:
    prepare(str(source), tmp_path / "out", side=4, gray=True)
    training = open_data(str(tmp_path / "out")).training
    assert [(image.shape, image[0, 0, 0]) for image in images(training)[:2]] == [((4, 4, 1), 0), ((4, 4, 1), 20)]


def test_many_shards_read_like_one(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(str(source), tmp_path / "one", side=6)
    monkeypatch.setattr("netspec.training.data.shards.SHARD_BYTES", 2 * 6 * 6 * 3)
    prepare(str(source), tmp_path / "many", side=6, workers=2)
    one, many = (open_data(str(tmp_path / name)).training for name in ("one", "many"))
    assert len(list((tmp_path / "many" / "training").glob("0*.npy"))) == 3
    assert (np.stack(images(many)) == np.stack(images(one))).all()
    assert many.describe(4) == f"{tmp_path / 'many' / 'training' / '00002.npy'}, row 0"
    remote = open_data(f"local://{tmp_path / 'many'}").training
    assert (np.stack(images(copied(remote))) == np.stack(images(one))).all()
    assert (np.stack(images(copied(many))) == np.stack(images(one))).all()


def test_the_validation_part_stays_the_same(tmp_path: Path) -> None:
    source = write_parquet(tmp_path / "set.parquet", [0, 1] * 10)
    prepare(str(source), tmp_path / "out", holdout=0.25, seed=3)
    before, after = open_data(str(source), holdout=0.25, seed=3), open_data(str(tmp_path / "out"))
    assert len(images(after.validation)) == 5
    assert [image[0, 0, 0] for image in images(after.training)] == [
        decoded(before.training, index)[0, 0, 0] for index in range(15)
    ]
    assert after.notes == before.notes
    with pytest.raises(NetspecError, match="has a validation part already"):
        open_data(str(tmp_path / "out"), holdout=0.1)


def test_the_same_set_is_the_same_bytes(source: Path, tmp_path: Path) -> None:
    for name, workers in (("a", 1), ("b", 4)):
        prepare(str(source), tmp_path / name, side=6, workers=workers)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*"))
    assert len(files) == 5
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    fingerprints = {open_data(str(tmp_path / name)).training.fingerprint for name in ("a", "b")}
    assert len(fingerprints) == 1
    prepare(str(source), tmp_path / "c", side=5)
    assert open_data(str(tmp_path / "c")).training.fingerprint not in fingerprints


def nothing_but(folder: Path, *names: str) -> bool:
    return sorted(path.name for path in folder.iterdir()) == sorted(names)


def test_all_bad_images_are_fatal_together_and_nothing_is_written(source: Path, tmp_path: Path) -> None:
    for name in ("ant/0.png", "bee/3.png"):
        cut(source / "train" / name)
    (source / "val" / "bee" / "1.png").write_text("no image")
    with pytest.raises(BadDataError) as caught:
        prepare(str(source), tmp_path / "deep" / "out", side=6)
    lines = str(caught.value).splitlines()
    assert lines[0] == f"{source}: 3 problems:"
    for line, name in zip(lines[1:4], ("train/ant/0.png", "train/bee/3.png", "val/bee/1.png"), strict=True):
        assert line.startswith(f"  {source / name}: ")
    assert nothing_but(tmp_path, "source")


def test_bad_images_are_left_out_and_recorded(source: Path, tmp_path: Path) -> None:
    cut(source / "train" / "ant" / "0.png")
    (source / "train" / "bee" / "zero.png").touch()
    manifest = prepare(str(source), tmp_path / "out", side=6, on_bad_sample="skip")
    assert len(manifest.skipped) == 1
    assert manifest.skipped[0].startswith(f"{source / 'train' / 'ant' / '0.png'}: ")
    assert f"{source / 'train' / 'bee' / 'zero.png'}: an empty file" in manifest.notes[0]
    after = open_data(str(tmp_path / "out"))
    assert [image[0, 0, 0] for image in images(after.training)] == [20, 40, 10, 30]
    assert after.training.labels.tolist() == [0, 0, 1, 1]
    assert after.notes == manifest.notes


def test_a_part_without_a_usable_image_is_an_error(source: Path, tmp_path: Path) -> None:
    for path in (source / "val").rglob("*.png"):
        path.write_text("no image")
    with pytest.raises(NetspecError, match="validation: no image can be used"):
        prepare(str(source), tmp_path / "out", side=6, on_bad_sample="skip")
    for path in (source / "train").rglob("*.png"):
        path.write_text("no image")
    with pytest.raises(BadDataError, match="8 problems"):
        prepare(str(source), tmp_path / "out", side=6, on_bad_sample="skip")
    assert nothing_but(tmp_path, "source")


def test_images_of_several_sizes_need_a_side(source: Path, tmp_path: Path) -> None:
    with pytest.raises(NetspecError, match=r"2\.png: expected 8x12x3 .* received 6x6x3") as caught:
        prepare(str(source), tmp_path / "out", on_bad_sample="skip")
    assert "--side" in caught.value.hint
    assert nothing_but(tmp_path, "source")
    square = write_folder(tmp_path / "square", {"ant": [1, 2], "bee": [3]})
    prepare(str(square), tmp_path / "out", holdout=0)
    training = open_data(str(tmp_path / "out"), holdout=0).training
    assert (np.stack(images(training)) == [pixels(value) for value in (1, 2, 3)]).all()


def test_digits_stay_gray_and_features_are_not_prepared(tmp_path: Path) -> None:
    assert prepare("digits", tmp_path / "digits").shape == (8, 8, 1)
    assert (
        np.stack(images(open_data(str(tmp_path / "digits")).validation)) == images(open_data("digits").validation)
    ).all()
    np.savez(tmp_path / "set.npz", x=np.zeros((4, 3)), y=[0, 1, 0, 1])
    with pytest.raises(NetspecError, match="holds features"):
        prepare(str(tmp_path / "set.npz"), tmp_path / "out")


def test_nothing_is_overwritten(source: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    prepare(str(source), tmp_path / "out", side=6)  # an empty folder is as good as none
    for taken in (tmp_path / "out", source / "train" / "ant" / "0.png", source):
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(NetspecError, match=r"nothing is overwritten|is a file"):
            prepare(str(source), taken, side=6)
        assert sorted(tmp_path.rglob("*")) == before


def test_an_interrupt_leaves_nothing(source: Path, tmp_path: Path) -> None:
    def interrupt(text: str) -> None:
        if text.startswith("validation"):
            assert any(tmp_path.glob("deep/.out-*/out/training/00000.npy"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(str(source), tmp_path / "deep" / "out", side=6, progress=interrupt)
    assert nothing_but(tmp_path, "source")


def test_free_space_is_checked_before_anything_is_written(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=20 << 20))
    with pytest.raises(NetspecError, match=r"takes 23\.9 MiB, and 20\.0 MiB are free there"):
        prepare(str(source), tmp_path / "deep" / "out", side=1000)  # 8 images of 3 · 10⁶ bytes, and 1 MiB to spare
    assert nothing_but(tmp_path, "source")


def test_a_full_disk_is_an_error_that_leaves_nothing(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(NetspecError, match=r"cannot write .*out: No space left on device"):
        prepare(str(source), tmp_path / "out", side=6)
    assert nothing_but(tmp_path, "source")


@pytest.fixture
def prepared(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the set prepared in shards of two images."""
    monkeypatch.setattr("netspec.training.data.shards.SHARD_BYTES", 2 * 6 * 6 * 3)
    prepare(str(source), tmp_path / "out", side=6)
    return tmp_path / "out"


def test_shards_that_are_cut_short_or_gone_are_named(prepared: Path) -> None:
    size = cut(prepared / "training" / shard_name(1), 0.9).stat().st_size
    (prepared / "validation" / shard_name(0)).unlink()
    with pytest.raises(BadDataError) as caught:
        open_data(str(prepared))
    assert str(caught.value).splitlines()[1:3] == [
        f"  {prepared / 'training' / '00001.npy'}: cut short: {size} bytes of 344",  # a header of 128
        f"  {prepared / 'validation' / '00000.npy'}: there is no such file",
    ]
    rest = open_data(str(prepared), on_bad_sample="skip")
    assert [image[0, 0, 0] for image in images(rest.training)] == [0, 20, 30]
    assert rest.training.labels.tolist() == [0, 0, 1]
    assert [image[0, 0, 0] for image in images(rest.validation)] == [10]


def test_a_shard_that_vanishes_is_a_bad_sample(prepared: Path) -> None:
    dataset = open_data(str(prepared)).training
    (prepared / "training" / shard_name(2)).unlink()
    with pytest.raises(BadSampleError, match=r"00002\.npy, row 0: cannot be read"):
        dataset.read(4)


def test_a_check_finds_a_byte_that_changed(prepared: Path) -> None:
    assert check_data(str(prepared)).problems == ()
    content = bytearray((prepared / "training" / shard_name(1)).read_bytes())
    content[-1] ^= 1
    (prepared / "training" / shard_name(1)).write_bytes(content)
    problem = f"{prepared / 'training' / '00001.npy'}: damaged: its digest is not the manifest's"
    assert check_data(str(prepared)).problems == (problem,)


def test_a_check_reads_every_whole_shard_beside_those_that_are_not(prepared: Path) -> None:
    """What is cut short or gone is told once, and does not hide that another shard has changed."""
    folder = prepared / "training"
    size = cut(folder / shard_name(0), 0.9).stat().st_size
    content = bytearray((folder / shard_name(1)).read_bytes())
    content[-1] ^= 1
    (folder / shard_name(1)).write_bytes(content)
    (folder / shard_name(2)).unlink()
    assert check_data(str(prepared)).problems == (
        f"{folder / '00000.npy'}: cut short: {size} bytes of 344",
        f"{folder / '00002.npy'}: there is no such file",
        f"{folder / '00001.npy'}: damaged: its digest is not the manifest's",
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "version: Input should be 1"),
        ({"shape": [6, 6]}, "shape"),
        ({"surprise": 1}, "surprise"),
        ({"parts": {}}, "names no part to train on"),
    ],
)
def test_a_manifest_of_another_kind(prepared: Path, change: dict[str, Any], message: str) -> None:
    path = prepared / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(NetspecError, match=rf"manifest\.json: .*{message}") as caught:
        open_data(str(prepared))
    assert caught.value.hint == "prepare the set again"


def test_a_damaged_manifest_and_damaged_labels(prepared: Path) -> None:
    labels = bytearray((prepared / "training" / "labels.npy").read_bytes())
    labels[-8] ^= 1
    (prepared / "training" / "labels.npy").write_bytes(labels)
    with pytest.raises(NetspecError, match=r"training/labels\.npy: damaged"):
        open_data(str(prepared))
    cut(prepared / "manifest.json")
    with pytest.raises(NetspecError, match=r"manifest\.json: no manifest of a prepared set"):
        open_data(str(prepared))
