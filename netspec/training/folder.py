"""`runs/NAME/`: everything that a run leaves behind, and what another run continues from."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from netspec.errors import NetspecError
from netspec.files import write_whole

FLOAT = 4  # bytes


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where the files of a run are. Made by `new_folder` or `existing_folder`."""

    path: Path

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


def new_folder(root: Path, name: str, *, named: bool) -> RunFolder:
    """A folder that does not exist yet: NAME, or when nobody asked for that name NAME-2, NAME-3, ….

    Raises:
        NetspecError: it was asked for by name and is there already.
    """
    path, number = root / name, 1
    while path.exists():
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
