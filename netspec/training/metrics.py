"""Metrics on disk: one JSON object a line, and TensorBoard events."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from netspec.errors import NetspecError
from netspec.files import write_whole
from netspec.training.events import EpochDone, Observer, StepDone

MOST_STEPS = 5_000  # lines of steps in a run, about: what a curve can show


class MetricsFile(Observer):
    """`metrics.jsonl`: a line an epoch, and a line a step or a few, each written before the next begins.

    Continuing a run drops what was written after the checkpoint that it continues from.

    Args:
        path: the file; made, or continued.
        steps_done: what is kept of a file that is there.
    """

    def __init__(self, path: Path, steps_done: int) -> None:
        kept = [line for line in read_metrics(path) if line["kind"] == "note" or line["step"] <= steps_done]
        write_whole(path, "".join(f"{json.dumps(line)}\n" for line in kept))
        self._file = path.open("a", encoding="utf-8", buffering=1)
        self._every = 1

    def note(self, text: str) -> None:
        """A line of kind `note`."""
        self._write({"kind": "note", "text": text})

    def started(self, steps: int, done: int, steps_per_epoch: int) -> None:
        """Decide how many steps a line stands for."""
        del done, steps_per_epoch
        self._every = max(1, math.ceil(steps / MOST_STEPS))

    def step(self, event: StepDone) -> None:
        """A line of kind `step`."""
        if event.step % self._every == 0 or event.step == 1:
            self._write({"kind": "step"} | asdict(event))

    def epoch(self, event: EpochDone) -> None:
        """A line of kind `epoch`."""
        self._write({"kind": "epoch"} | asdict(event))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line) + "\n")


def read_metrics(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a metrics file; a last line that a kill cut short is left out."""
    if not path.is_file():
        return
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    for number, line in enumerate(lines, 1):
        if not line.endswith("\n"):
            return
        try:
            yield json.loads(line)
        except ValueError as error:
            raise NetspecError(f"{path}, line {number}: not JSON", "the file was edited: remove the line") from error


class TensorBoard(Observer):
    """Scalars for TensorBoard, by optimizer step.

    Raises:
        NetspecError: tensorboardX is not installed.
    """

    def __init__(self, folder: Path, steps_done: int) -> None:
        try:
            from tensorboardX import SummaryWriter  # noqa: PLC0415 # one command alone writes events
        except ImportError as error:
            raise NetspecError(
                "writing TensorBoard events needs tensorboardX, not installed here", "pip install 'netspec[train]'"
            ) from error
        self._writer = SummaryWriter(str(folder), purge_step=steps_done + 1 if steps_done else None)

    def step(self, event: StepDone) -> None:
        """Loss, error, rate and speed of the step."""
        for tag in ("loss", "error", "rate", "images_per_second"):
            self._writer.add_scalar(f"step/{tag}", getattr(event, tag), event.step)

    def epoch(self, event: EpochDone) -> None:
        """Losses and errors of the epoch."""
        for name, value in asdict(event).items():
            split, _, tag = name.partition("_")
            if split in {"training", "validation"} and value is not None:
                self._writer.add_scalar(f"{split}/{tag}", value, event.step)

    def close(self) -> None:
        """Write what is buffered."""
        self._writer.close()
