from pathlib import Path

import pytest

from netspec.files import write_whole


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = write_whole(tmp_path / "a" / "model.py", "old")

    def half(temporary: Path) -> None:
        temporary.write_text("half of the n")
        raise RuntimeError("the framework gave up")

    with pytest.raises(RuntimeError):
        write_whole(path, half)
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_permissions_are_those_of_an_ordinary_file(tmp_path: Path) -> None:
    ordinary = tmp_path / "ordinary"
    ordinary.touch()
    assert write_whole(tmp_path / "whole", b"x").stat().st_mode == ordinary.stat().st_mode
