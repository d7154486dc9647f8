"""`runs/NAME/`: everything that a run leaves behind, and what another run continues from."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from netspec.errors import NetspecError
from netspec.files import write_whole
from netspec.training.lock import lock

FLOAT = 4  # bytes


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where the files of a run are. Made by `new_folder` or `existing_folder`, `claimed` to be written to.

    Attributes:
        path: of the folder.
        locked: whether other processes are kept out of it.
    """

    path: Path
    locked: bool = False

    @property
    def spec(self) -> Path:
        """The resolved spec, with its recipe."""
        return self.path / "spec.yaml"

    @property
    def metrics(self) -> Path:
        """A line a step and an epoch."""
        return self.path / "metrics.jsonl"

    @property
    def events(self) -> Path:
        """TensorBoard's folder."""
        return self.path / "events"

    @property
    def last(self) -> Path:
        """The checkpoint that `--resume` continues from."""
        return self.path / "checkpoints" / "last.safetensors"

    @property
    def best(self) -> Path:
        """The checkpoint of the lowest validation error."""
        return self.path / "checkpoints" / "best.safetensors"

    @property
    def report(self) -> Path:
        """The page to look at."""
        return self.path / "report.html"

    def remove_unfinished(self) -> None:
        """Remove what a killed process had begun to write: hidden files that never took their name."""
        for folder in (self.path, self.last.parent):
            for leftover in folder.glob(".*"):
                if leftover.is_file():
                    leftover.unlink()


def require_name(name: str) -> str:
    """The name of a run, which names a folder in that of all runs.

    Raises:
        NetspecError: it names one elsewhere, or none.
    """
    if not name or name in {".", ".."} or set(name) & {"/", "\\", "\0"}:
        raise NetspecError(
            f"a run cannot be called {name!r}: expected the name of one folder", "--out says where the folder lies"
        )
    return name


def new_folder(root: Path, name: str, *, named: bool) -> RunFolder:
    """A folder that does not exist yet: NAME, or when nobody asked for that name NAME-2, NAME-3, ….

    Raises:
        NetspecError: it was asked for by name and is there already.
    """
    path, number = root / name, 1
    while path.exists() or path.is_symlink():
        if named:
            raise NetspecError(
                f"{path}: this run is there already", "continue it with --resume, or give another --name"
            )
        number += 1
        path = root / f"{name}-{number}"
    return RunFolder(path)


def existing_folder(root: Path, name: str, *, named: bool) -> RunFolder:
    """The folder of the run to continue: NAME, or when nobody asked for that name the newest of NAME-2, NAME-3, ….

    Raises:
        NetspecError: there is none, or it has no checkpoint.
    """
    path, number = root / name, 2
    while not named and (root / f"{name}-{number}").exists():
        path = root / f"{name}-{number}"
        number += 1
    folder = RunFolder(path)
    if not folder.last.is_file():
        runs = sorted(found.parent.parent.name for found in root.glob("*/checkpoints/last.safetensors"))
        raise NetspecError(
            f"{path}: there is no run to continue" + (": it has no checkpoint yet" if path.exists() else ""),
            f"runs with a checkpoint in {root}: {', '.join(runs)}" if runs else "start one without --resume",
        )
    return folder


@contextmanager
def claimed(folder: RunFolder, another: Callable[[], RunFolder] | None = None) -> Iterator[RunFolder]:
    """A folder in which no other process trains meanwhile, where its file system has locks.

    One in which nothing was written is gone afterwards.

    Args:
        folder: of a run that is there, or of a new one.
        another: of a new run, looks for a folder again. Two commands that begin at once find the same one free: it is
            of the command that makes it.

    Raises:
        NetspecError: it cannot be made, or another process trains in it.
    """
    while another is not None:
        try:
            folder.path.mkdir(parents=True)
            break
        except FileExistsError:
            folder = another()
        except OSError as error:
            reason = f"cannot write {folder.path}: {error.strerror}"
            raise NetspecError(reason, "choose another place with --out") from error
    with _held(folder.path) as locked:
        try:
            yield replace(folder, locked=locked)
        finally:
            for path in (folder.last.parent, folder.path):
                with suppress(OSError):  # it holds something, or was never made
                    path.rmdir()


@contextmanager
def _held(path: Path) -> Iterator[bool]:
    """Keep a folder from other processes, or tell that it cannot be locked."""
    if sys.platform == "win32":  # which opens no folder
        yield False
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        try:
            locked = lock(handle)
        except BlockingIOError as error:
            hint = "let it end, or stop it; then --resume goes on from there"
            raise NetspecError(f"{path}: another process is training this run", hint) from error
        yield locked
    finally:
        os.close(handle)


def require_room(folder: RunFolder, elements: int, slots: int) -> None:
    """Make the folder, and find out whether three checkpoints fit: the last, the best, and the one being written.

    Args:
        folder: where to.
        elements: of all weights.
        slots: arrays of that size that the optimizer keeps.

    Raises:
        NetspecError: it cannot be written, or its disk is too full.
    """
    probe = write_whole(folder.path / "checkpoints" / ".probe", "")
    probe.unlink()
    needed, free = 3 * elements * (1 + slots) * FLOAT, shutil.disk_usage(folder.path).free
    if free < needed:
        raise NetspecError(
            f"{folder.path}: its disk has {free / 2**20:,.1f} MiB left, and the checkpoints of this run take "
            f"{needed / 2**20:,.1f} MiB",
            "free some, or write elsewhere with --out",
        )
