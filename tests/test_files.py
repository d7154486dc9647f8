from pathlib import Path

import pytest

from netspec.errors import NetspecError
from netspec.files import staged, write_whole


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = write_whole(tmp_path / "a" / "model.py", "old")

    def half(temporary: Path) -> None:
        temporary.write_text("half of the n")
        raise RuntimeError("the framework gave up")

    with pytest.raises(RuntimeError):
        write_whole(path, half)
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_a_file_where_a_folder_is_needed_and_a_folder_where_a_file_is(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for path in (file / "new.txt", file / "below" / "new.txt"):
        with pytest.raises(NetspecError, match=f"cannot write .*new.txt: {file} is a file, expected a folder"):
            write_whole(path, "text")
        with pytest.raises(NetspecError, match=f"cannot write .*: {file} is a file, expected a folder"), staged(path):
            pass
    with pytest.raises(NetspecError, match="it is a folder, expected a file"):
        write_whole(tmp_path, "text")


def test_permissions_are_those_of_an_ordinary_file(tmp_path: Path) -> None:
    ordinary = tmp_path / "ordinary"
    ordinary.touch()
    assert write_whole(tmp_path / "whole", b"x").stat().st_mode == ordinary.stat().st_mode
