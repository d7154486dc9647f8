"""Several files that appear together or not at all."""

import errno
from pathlib import Path

import pytest

from netspec.errors import NetspecError
from netspec.files import staged, write_whole


def test_files_appear_together_under_their_paths(tmp_path: Path) -> None:
    out = tmp_path / "a" / "b"
    with staged(out) as stage:
        (stage / "torch").mkdir()
        (stage / "torch" / "model.py").write_text("x = 1\n")
        (stage / "weights").write_bytes(b"w")
        assert [path.name for path in out.iterdir()] == [stage.name]
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*")) == ["torch", "torch/model.py", "weights"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, OSError])
def test_a_failure_leaves_no_files(tmp_path: Path, error: type[BaseException]) -> None:
    def fail() -> None:
        with staged(tmp_path / "a" / "b") as stage:
            (stage / "half").write_text("half of")
            raise error

    with pytest.raises(error):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_existing_files_unchanged(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text("old")

    def fail() -> None:
        with staged(tmp_path) as stage:
            (stage / "model.py").write_text("new")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_a_failed_write_is_told_of_the_place_where_the_file_would_have_been(tmp_path: Path) -> None:
    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with pytest.raises(NetspecError) as caught, staged(tmp_path) as stage:
        write_whole(stage / "torch" / "model.py", full)
    assert caught.value.message == f"cannot write {tmp_path / 'torch' / 'model.py'}: No space left on device"


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NetspecError, match="cannot write"), staged(tmp_path / "file" / "out"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
