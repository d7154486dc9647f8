"""Metrics of a run: a line for each step, TensorBoard events, and a full disk."""

from pathlib import Path

import pytest

from netspec.errors import NetspecError
from netspec.training.events import EpochDone, Observer, Observers, StepDone
from netspec.training.metrics import MetricsFile, TensorBoard, read_metrics

STEP = StepDone(step=8, epoch=0.5, loss=2.0, error=0.5, rate=0.25, images_per_second=64.0, seconds=1.0)
EPOCH = EpochDone(1, 10, 0.5, 0.25, 0.75, None, None, 0.125, 1.0, best=True)


def test_tensorflow_reads_the_events_with_their_checksums(tmp_path: Path) -> None:
    import tensorflow as tf
    from tensorboardX.proto import event_pb2

    board = TensorBoard(tmp_path / "events", 7)
    board.step(STEP)
    board.epoch(EPOCH)
    board.close()
    (path,) = (tmp_path / "events").iterdir()
    found = [event_pb2.Event.FromString(record.numpy()) for record in tf.data.TFRecordDataset(str(path))]
    assert (found[0].file_version, found[1].step) == ("brain.Event:2", 8)
    assert found[1].session_log.status == event_pb2.SessionLog.START
    scalars = [(event.step, {value.tag: value.simple_value for value in event.summary.value}) for event in found[2:]]
    assert scalars == [
        (8, {"step/loss": 2.0, "step/error": 0.5, "step/rate": 0.25, "step/images_per_second": 64.0}),
        (10, {"training/loss": 0.5, "training/error": 0.25, "validation/loss": 0.75}),
    ]


def test_a_full_disk_is_reported_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netspec.training.metrics.socket.gethostname", lambda: "here")
    monkeypatch.setattr("netspec.training.metrics.time.time", lambda: 1.0)
    full = tmp_path / "events.out.tfevents.1.here"
    full.symlink_to("/dev/full")
    with pytest.raises(NetspecError, match=f"cannot write {full}: No space left on device\\nhint: .*--resume"):
        TensorBoard(tmp_path, 0)  # begins with a record of its version
    metrics = MetricsFile(tmp_path / "metrics.jsonl", 0)
    metrics.step(STEP)
    monkeypatch.setattr(metrics, "_file", Path("/dev/full").open("a", buffering=1))  # noqa: SIM115 # closed below
    with pytest.raises(NetspecError, match=r"cannot write .*metrics\.jsonl: No space left on device"):
        metrics.epoch(EPOCH)
    metrics.close()
    assert [line["kind"] for line in read_metrics(tmp_path / "metrics.jsonl")] == ["session", "step"]


def test_observers_are_closed_even_if_another_fails() -> None:
    closed = []

    class Failing(Observer):
        def close(self) -> None:
            closed.append(self)
            raise NetspecError("a full disk")

    with pytest.raises(NetspecError):
        Observers(Failing(), Failing()).close()
    assert len(closed) == 2
