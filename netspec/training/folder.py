"""The run folder, `runs/NAME/`: all files that a run writes, and from which it can be resumed."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from netspec.errors import NetspecError
from netspec.files import write_whole
from netspec.training.lock import lock
from netspec.training.metrics import read_metrics
from netspec.words import abbreviate

FLOAT = 4  # bytes
# The temporary files of `write_whole`, `.spec-x3f_9a0b.yaml`, and of safetensors, `.tmpaLcEGW`; and the probe of
# `require_room`.
UNFINISHED = re.compile(r"\..*-[a-z0-9_]{8}(\.\w+)?|\.tmp\w{6}|\.probe")


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The paths of a run's files. Returned by `new_folder` and `existing_folder`; `claimed` makes it safe to write to.

    Attributes:
        path: the folder.
        locked: whether a lock keeps other processes out of it.
    """

    path: Path
    locked: bool = False

    @property
    def spec(self) -> Path:
        """The resolved spec, with its recipe."""
        return self.path / "spec.yaml"

    @property
    def metrics(self) -> Path:
        """The metrics, one JSON object a line."""
        return self.path / "metrics.jsonl"

    @property
    def events(self) -> Path:
        """The folder of TensorBoard's event files."""
        return self.path / "events"

    @property
    def last(self) -> Path:
        """The latest checkpoint, from which `--resume` continues."""
        return self.path / "checkpoints" / "last.safetensors"

    @property
    def best(self) -> Path:
        """The checkpoint with the lowest validation error."""
        return self.path / "checkpoints" / "best.safetensors"

    @property
    def report(self) -> Path:
        """The report, an HTML page."""
        return self.path / "report.html"

    @property
    def samples(self) -> Path:
        """What a generator made of the same noise after the latest epoch."""
        return self.path / "samples.png"

    def remove_unfinished(self) -> None:
        """Remove the temporary files of a killed process, but no other hidden files, which are the user's."""
        for folder in (self.path, self.last.parent):
            for path in folder.glob(".*"):
                if path.is_file() and UNFINISHED.fullmatch(path.name):
                    path.unlink()


def require_name(name: str) -> str:
    """Return the name of a run if it is the name of one folder.

    Raises:
        NetspecError: the name is empty, or a path that leads elsewhere.
    """
    if not name or name in {".", ".."} or set(name) & {"/", "\\", "\0"}:
        raise NetspecError(
            f"a run cannot be called {name!r}: expected the name of one folder", "--out says where the folder lies"
        )
    return name


def new_folder(root: Path, name: str, *, named: bool) -> RunFolder:
    """The folder of a new run: NAME, or if that exists the next of NAME-2, NAME-3, ….

    Args:
        root: the folder of all runs.
        name: the name of the run.
        named: whether the user chose the name, so that no number may be added to it.

    Raises:
        NetspecError: the user chose the name, and the folder exists already.
    """
    path = root / name
    if named and (path.exists() or path.is_symlink()):
        begun = RunFolder(path).last.is_file()
        raise NetspecError(
            f"{path}: this run exists already" + ("" if begun else ", and it has no checkpoint to continue from"),
            f"{'continue it with --resume' if begun else 'remove it'}, or give another --name",
        )
    return RunFolder(path if named else _numbered(root, name, _last_number(root, name) + 1))


def existing_folder(root: Path, name: str, *, named: bool) -> RunFolder:
    """The folder of the run to resume: NAME, or unless the user chose the name the last of NAME, NAME-2, NAME-3, ….

    Args:
        root: the folder of all runs.
        name: the name of the run.
        named: whether the user chose the name.

    Raises:
        NetspecError: the folder does not exist, or has no checkpoint.
    """
    path = root / name if named else _numbered(root, name, _last_number(root, name))
    folder = RunFolder(path)
    if folder.last.is_file():
        return folder
    if path.exists():
        hint = "remove it, and start again without --resume" if named else "start again without --resume"
        raise NetspecError(f"{path}: there is no run to continue: it ended before its first checkpoint", hint)
    runs = sorted(checkpoint.parent.parent.name for checkpoint in root.glob("*/checkpoints/last.safetensors"))
    raise NetspecError(
        f"{path}: there is no run to continue",
        f"runs with a checkpoint in {root}: {abbreviate(runs)}" if runs else "start one without --resume",
    )


def _numbered(root: Path, name: str, number: int) -> Path:
    return root / (name if number <= 1 else f"{name}-{number}")


def _last_number(root: Path, name: str) -> int:
    """The highest number among the runs NAME (which counts as 1), NAME-2, NAME-3, …; 0 if there is none.

    A gap left by a deleted run does not matter, so that the run to resume is always the one begun last.
    """
    pattern = re.compile(rf"{re.escape(name)}(?:-([2-9]|[1-9][0-9]+))?")
    matches = (pattern.fullmatch(path.name) for path in root.glob("*"))
    return max((int(match[1] or 1) for match in matches if match), default=0)


@contextmanager
def claimed(folder: RunFolder, find_again: Callable[[], RunFolder] | None = None) -> Iterator[RunFolder]:
    """A context that holds a run folder exclusively, if its file system has locks.

    A new folder is created here, with the folders above it. If the run fails before its first step, its folder is
    removed on exit, with those above it that were created for it: the name is free again.

    Args:
        folder: the folder of the run.
        find_again: for a new run, finds another free folder. Of two commands that start at once and find the same
            folder free, the one that creates it gets it, and the other has to look again.

    Raises:
        NetspecError: the folder cannot be created, or another process is training in it.
    """
    missing = [path for path in folder.path.parents if not path.exists()]
    try:
        folder = _created(folder, find_again) if find_again is not None else folder
        with _locked(folder.path) as locked:
            try:
                yield replace(folder, locked=locked)
            except BaseException:
                if find_again is not None and not _has_begun(folder):
                    shutil.rmtree(folder.path, ignore_errors=True)
                raise
            finally:
                _remove_empty(folder.last.parent, folder.path)
    finally:
        _remove_empty(*missing)


def _has_begun(folder: RunFolder) -> bool:
    """Whether the run has taken a step."""
    return folder.last.exists() or any(line["kind"] == "step" for line in read_metrics(folder.metrics))


def _remove_empty(*folders: Path) -> None:
    """Remove folders, the innermost first, that are empty."""
    for path in folders:
        with suppress(OSError):  # not empty, or never created
            path.rmdir()


def _created(folder: RunFolder, find_again: Callable[[], RunFolder]) -> RunFolder:
    try:
        folder.path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            try:
                folder.path.mkdir()
            except FileExistsError:
                folder = find_again()
            else:
                return folder
    except OSError as error:
        reason = f"cannot write {error.filename or folder.path}: {error.strerror}"
        raise NetspecError(reason, "choose another place with --out") from error


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """A context that locks a folder against other processes, or yields False if it cannot be locked."""
    if sys.platform == "win32":  # where a folder cannot be opened
        yield False
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        try:
            locked = lock(handle)
        except BlockingIOError as error:
            hint = "wait until it ends, or stop it and continue with --resume"
            raise NetspecError(f"{path}: another process is training this run", hint) from error
        yield locked
    finally:
        os.close(handle)


def require_room(folder: RunFolder, elements: int) -> None:
    """Require disk space for three checkpoints: the last, the best, and the one being written.

    Those that the folder already has count as well, so that a run can be resumed on a nearly full disk.

    Args:
        folder: the run folder; its subfolder for checkpoints is created.
        elements: the number of elements of all weights, and of the arrays that optimizers keep for them.

    Raises:
        NetspecError: the folder cannot be written, or its disk is too full.
    """
    probe = write_whole(folder.path / "checkpoints" / ".probe", "")
    probe.unlink()
    existing = sum(path.stat().st_size for path in (folder.last, folder.best) if path.is_file())
    needed, free = 3 * elements * FLOAT - existing, shutil.disk_usage(folder.path).free
    if free < needed:
        raise NetspecError(
            f"{folder.path}: its disk has {free / 2**20:,.1f} MiB left, and the checkpoints of this run take "
            f"{needed / 2**20:,.1f} MiB" + (" more" if existing else ""),
            "free some space, or choose another place with --out",
        )
