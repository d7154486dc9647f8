"""The folder of a run: its name, and that no two processes train in it."""

from __future__ import annotations

import errno
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from netspec.errors import NetspecError
from netspec.files import write_whole
from netspec.training.folder import RunFolder, claimed, existing_folder, new_folder, require_room
from tests.training.conftest import Recorder, Run


@pytest.mark.parametrize("name", ["", ".", "..", "../elsewhere", "a/b", "a\\b"])
def test_a_name_is_that_of_one_folder(run: Run, tmp_path: Path, name: str) -> None:
    with pytest.raises(NetspecError, match="expected the name of one folder"):
        run(name=name)
    assert not (tmp_path / "runs").exists()


def test_two_runs_that_find_the_same_free_folder_get_one_each(tmp_path: Path) -> None:
    find = partial(new_folder, tmp_path, "small", named=False)
    first, second = find(), find()
    assert first == second
    with claimed(first, find) as own, claimed(second, find) as other:
        assert [own.path.name, other.path.name] == ["small", "small-2"]
    named = partial(new_folder, tmp_path, "mine", named=True)
    found = named()
    with claimed(found, named), pytest.raises(NetspecError, match="exists already"), claimed(found, named):
        pass


def test_a_run_that_ended_before_its_first_checkpoint_is_to_be_removed(tmp_path: Path) -> None:
    folder = new_folder(tmp_path, "mine", named=True)
    folder.path.mkdir()
    with pytest.raises(NetspecError, match="exists already, and it has no checkpoint") as caught:
        new_folder(tmp_path, "mine", named=True)
    assert caught.value.hint == "remove it, or give another --name"
    with pytest.raises(NetspecError, match="it ended before its first checkpoint") as caught:
        existing_folder(tmp_path, "mine", named=True)
    assert caught.value.hint == "remove it, and start again without --resume"
    with pytest.raises(NetspecError, match="it ended before its first checkpoint") as caught:
        existing_folder(tmp_path, "mine", named=False)
    assert caught.value.hint == "start again without --resume"
    folder.last.parent.mkdir()
    folder.last.touch()
    with pytest.raises(NetspecError, match="exists already") as caught:
        new_folder(tmp_path, "mine", named=True)
    assert "--resume" in caught.value.hint


def test_the_run_to_resume_is_the_one_begun_last_even_after_another_was_deleted(tmp_path: Path) -> None:
    def begin() -> str:
        folder = new_folder(tmp_path, "net", named=False)
        folder.last.parent.mkdir(parents=True)
        folder.last.touch()
        return folder.path.name

    def resumed() -> str:
        return existing_folder(tmp_path, "net", named=False).path.name

    assert [begin(), begin(), begin()] == ["net", "net-2", "net-3"]
    shutil.rmtree(tmp_path / "net-2")
    assert resumed() == "net-3"
    assert begin() == resumed() == "net-4"
    shutil.rmtree(tmp_path / "net")
    assert begin() == resumed() == "net-5"
    for other in ("net-1", "net-007", "net-6b", "network-8"):  # the names of other runs
        (tmp_path / other).mkdir()
    assert begin() == resumed() == "net-6"


def test_a_folder_of_runs_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "runs").symlink_to(tmp_path / "unmounted")
    find = partial(new_folder, tmp_path / "runs", "mine", named=True)
    with pytest.raises(NetspecError, match=r"cannot write .*runs: .*\nhint: .*--out"), claimed(find(), find):
        pass


def test_leftovers_of_a_killed_process_are_removed_but_no_files_of_the_user(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.last.parent.mkdir()

    def killed(temporary: Path) -> None:
        other = "a" if temporary.stem.endswith("_") else "_"  # the name is random
        shutil.copy(temporary, temporary.with_name(f"{temporary.stem[:-1]}{other}{temporary.suffix}"))

    for path in (folder.spec, folder.metrics, folder.last, tmp_path / "mean.npy"):
        write_whole(path, killed)
    (folder.last.parent / ".tmpaLcEGW").touch()  # by safetensors, while it writes
    assert len(list(tmp_path.rglob(".*"))) == 5
    kept = {tmp_path / ".gitignore", tmp_path / ".pre-commit-config.yaml", folder.spec, folder.metrics, folder.last}
    for path in kept:
        path.touch()
    folder.remove_unfinished()
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == kept | {tmp_path / "mean.npy"}


def test_the_checkpoints_of_a_run_count_for_the_room_that_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr("netspec.training.folder.shutil.disk_usage", lambda _: usage._replace(free=10_000))
    folder = RunFolder(tmp_path)
    with pytest.raises(NetspecError, match="the checkpoints of this run take"):
        require_room(folder, elements=2000)
    for path in (folder.last, folder.best):
        path.write_bytes(bytes(8000))
    require_room(folder, elements=2000)  # a third one, to be written, still fits
    with pytest.raises(NetspecError, match=r"take .* MiB more"):
        require_room(folder, elements=2400)


def test_a_run_that_another_process_trains_is_not_continued(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.metrics.write_text("")
    code = "import sys; from pathlib import Path; from netspec.training.folder import RunFolder, claimed\n"
    code += "with claimed(RunFolder(Path(sys.argv[1]))):\n    print('mine', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(NetspecError, match="another process is training this run"), claimed(folder):
            pass
        other.kill()
        other.wait()
    with claimed(folder) as own:  # the lock of a process that was killed is gone with it
        assert own.metrics.exists()


def test_a_folder_that_cannot_be_locked_is_reported_once(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_locks(handle: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    settings, part = ("training.epochs=1",), "cannot be locked here"
    locked, unlocked = Recorder(), Recorder()
    run(settings=settings, observer=locked)
    monkeypatch.setattr("fcntl.flock", without_locks)
    run(settings=settings, observer=unlocked)
    assert not [note for note in locked.notes if part in note]
    (note,) = [note for note in unlocked.notes if part in note]
    assert note.startswith(f"{tmp_path / 'runs' / 'small-2'} ")


def test_a_run_that_cannot_begin_leaves_no_folder(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NetspecError, match="nothing is left to train on"):
        run(name="mine", settings=("training.batch_size=100000", "training.last_batch=drop"))
    assert not (tmp_path / "runs" / "mine").exists()
    usage = shutil.disk_usage("/")
    monkeypatch.setattr("netspec.training.folder.shutil.disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(NetspecError, match="its disk has"):
        run(name="mine")
    assert not (tmp_path / "runs" / "mine").exists()


def test_missing_weights_are_reported_before_the_data_is_opened(run: Run, tmp_path: Path) -> None:
    with pytest.raises(NetspecError, match=r"absent\.safetensors: there is no such file"):
        run(weights=tmp_path / "absent.safetensors", data="nothing either")
