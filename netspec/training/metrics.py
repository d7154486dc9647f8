"""Metrics on disk: one JSON object a line, and TensorBoard events."""

from __future__ import annotations

import json
import math
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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

    Raises:
        NetspecError: the disk takes no more.
    """

    def __init__(self, path: Path, steps_done: int) -> None:
        kept = [line for line in read_metrics(path) if line["kind"] == "note" or line["step"] <= steps_done]
        write_whole(path, "".join(f"{json.dumps(line)}\n" for line in kept))
        self._path = path
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
        """Close the file. What it could not take has been told."""
        with suppress(OSError):
            self._file.close()

    def _write(self, line: dict[str, Any]) -> None:
        with _told(self._path):
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
    """Scalars for TensorBoard, by optimizer step: a record a step and an epoch, each written before the next begins.

    tensorboardX has the messages. Its own writer hands them to a thread, which ends when the disk is full: what then
    hands it more waits without end.

    Args:
        folder: of the event files; each session of a run adds one.
        steps_done: what TensorBoard keeps of the sessions before.

    Raises:
        NetspecError: tensorboardX is not installed, or the disk takes no more.
    """

    def __init__(self, folder: Path, steps_done: int) -> None:
        try:
            from tensorboardX import record_writer  # noqa: PLC0415 # one command alone writes events
            from tensorboardX.proto import event_pb2, summary_pb2  # noqa: PLC0415
        except ImportError as error:
            raise NetspecError(
                "writing TensorBoard events needs tensorboardX, not installed here", "pip install 'netspec[train]'"
            ) from error
        self._events, self._summaries, self._checksum = event_pb2, summary_pb2, record_writer.masked_crc32c
        self._path = folder / f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}"
        with _told(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("ab", buffering=0)
        self._write(file_version="brain.Event:2")
        if steps_done:
            begin = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            self._write(step=steps_done + 1, session_log=begin)

    def step(self, event: StepDone) -> None:
        """Loss, error, rate and speed of the step."""
        tags = ("loss", "error", "rate", "images_per_second")
        self._scalars(event.step, {f"step/{tag}": getattr(event, tag) for tag in tags})

    def epoch(self, event: EpochDone) -> None:
        """Losses and errors of the epoch."""
        named = {}
        for name, value in asdict(event).items():
            split, _, tag = name.partition("_")
            if split in {"training", "validation"} and value is not None:
                named[f"{split}/{tag}"] = value
        self._scalars(event.step, named)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _scalars(self, step: int, values: dict[str, float]) -> None:
        value = [self._summaries.Summary.Value(tag=tag, simple_value=number) for tag, number in values.items()]
        self._write(step=step, summary=self._summaries.Summary(value=value))

    def _write(self, **fields: Any) -> None:
        """An event as a record of TensorFlow's: its length and its bytes, each with a checksum."""
        content = self._events.Event(wall_time=time.time(), **fields).SerializeToString()
        length = struct.pack("<Q", len(content))
        record = b"".join(part + struct.pack("<I", self._checksum(part)) for part in (length, content))
        with _told(self._path):
            while record:
                record = record[self._file.write(record) :]


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Within it, what the disk does not take is told with its place."""
    try:
        yield
    except OSError as error:
        raise NetspecError(
            f"cannot write {path}: {error.strerror}", "mend that; --resume goes on from the last checkpoint"
        ) from error
