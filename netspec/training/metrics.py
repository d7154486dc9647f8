"""Metrics files: JSON lines, and TensorBoard events."""

from __future__ import annotations

import json
import math
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from netspec.errors import NetspecError
from netspec.files import write_whole
from netspec.training.events import EpochDone, Observer, StepDone

MOST_STEPS = 5_000  # about the most lines for steps that a run writes: more than a chart can show


class MetricsFile(Observer):
    """Writes `metrics.jsonl`: a line for each session, epoch and note, and for each step, or every n-th of a long run.

    Each line is flushed before the next step begins. When a run is resumed, the lines after its checkpoint are removed.

    Args:
        path: the file, which is created or continued.
        steps_done: the step of the checkpoint; lines of later steps are removed.
        epoch_open: whether the epoch of that step has not ended at the checkpoint; its line is then removed as well.

    Raises:
        NetspecError: the file cannot be written, for example because the disk is full.
    """

    def __init__(self, path: Path, steps_done: int, *, epoch_open: bool = False) -> None:
        def is_kept(line: dict[str, Any]) -> bool:
            if line["kind"] == "note" or line["step"] < steps_done:
                return True
            return line["step"] == steps_done and not (epoch_open and line["kind"] == "epoch")

        kept = filter(is_kept, read_metrics(path))
        write_whole(path, "".join(f"{json.dumps(line)}\n" for line in kept))
        self._path = path
        self._file = path.open("a", encoding="utf-8", buffering=1)
        self._every = 1
        self._write({"kind": "session", "step": steps_done, "time": datetime.now(UTC).isoformat(timespec="seconds")})

    def note(self, text: str) -> None:
        """Write a line of kind `note`."""
        self._write({"kind": "note", "text": text})

    def started(self, steps: int, done: int, steps_per_epoch: int) -> None:
        """Choose the number of steps per line."""
        del done, steps_per_epoch
        self._every = max(1, math.ceil(steps / MOST_STEPS))

    def step(self, event: StepDone) -> None:
        """Write a line of kind `step`, unless the step is skipped."""
        if event.step % self._every == 0 or event.step == 1:
            self._write({"kind": "step"} | asdict(event))

    def epoch(self, event: EpochDone) -> None:
        """Write a line of kind `epoch`."""
        self._write({"kind": "epoch"} | asdict(event))

    def close(self) -> None:
        """Close the file."""
        with suppress(OSError):  # the error was raised by `_write` already
            self._file.close()

    def _write(self, line: dict[str, Any]) -> None:
        with _writing(self._path):
            self._file.write(json.dumps(line) + "\n")


def read_metrics(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a metrics file, without a last line that was cut short when the process was killed."""
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
    """Writes scalars for TensorBoard: one record for each step and epoch, written before the next step begins.

    Only the message types are tensorboardX's. Its writer hands records to a thread, which dies when the disk is full;
    the training process would then wait for it forever.

    Args:
        folder: the folder of the event files; each session of a run adds one.
        steps_done: the step of the checkpoint; TensorBoard drops later steps of earlier sessions.

    Raises:
        NetspecError: tensorboardX is not installed, or the file cannot be written.
    """

    def __init__(self, folder: Path, steps_done: int) -> None:
        try:
            from tensorboardX import record_writer  # noqa: PLC0415 # only needed for training
            from tensorboardX.proto import event_pb2, summary_pb2  # noqa: PLC0415
        except ImportError as error:
            raise NetspecError(
                "writing TensorBoard events needs tensorboardX, not installed here", "pip install 'netspec[train]'"
            ) from error
        self._events, self._summaries, self._checksum = event_pb2, summary_pb2, record_writer.masked_crc32c
        self._path = folder / f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}"
        with _writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("ab", buffering=0)
        self._write(file_version="brain.Event:2")
        if steps_done:
            session = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            self._write(step=steps_done + 1, session_log=session)

    def step(self, event: StepDone) -> None:
        """Write the loss, error, rate and speed of the step."""
        tags = ("loss", "error", "rate", "images_per_second")
        self._write_scalars(event.step, {f"step/{tag}": getattr(event, tag) for tag in tags})

    def epoch(self, event: EpochDone) -> None:
        """Write the losses and errors of the epoch."""
        scalars = {}
        for name, value in asdict(event).items():
            split, _, tag = name.partition("_")
            if split in {"training", "validation"} and value is not None:
                scalars[f"{split}/{tag}"] = value
        self._write_scalars(event.step, scalars)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write_scalars(self, step: int, scalars: dict[str, float]) -> None:
        values = [self._summaries.Summary.Value(tag=tag, simple_value=scalar) for tag, scalar in scalars.items()]
        self._write(step=step, summary=self._summaries.Summary(value=values))

    def _write(self, **fields: Any) -> None:
        """Write an event as a TFRecord: its length and its bytes, each followed by a checksum."""
        content = self._events.Event(wall_time=time.time(), **fields).SerializeToString()
        length = struct.pack("<Q", len(content))
        record = b"".join(part + struct.pack("<I", self._checksum(part)) for part in (length, content))
        with _writing(self._path):
            while record:
                record = record[self._file.write(record) :]


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """A context that turns an OSError into a NetspecError which names the path."""
    try:
        yield
    except OSError as error:
        raise NetspecError(
            f"cannot write {path}: {error.strerror}", "once that is fixed, --resume continues from the last checkpoint"
        ) from error
