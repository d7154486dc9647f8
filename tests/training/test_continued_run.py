"""Runs that are stopped and continued, by the same backend or another one; and what is no continuation."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from netspec.errors import NetspecError, WeightsError
from netspec.training import loop
from netspec.training.metrics import read_metrics
from netspec.training.session import Outcome
from tests.training.conftest import STEPS, Recorder, Run, arrays

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def hangups_are_not_ignored() -> Iterator[None]:
    """The tests may run under nohup, and a run leaves SIGHUP ignored where it is."""
    previous = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, previous)


def test_a_hangup_that_is_ignored_stays_ignored(run: Run) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    assert run(observer=Recorder(7, signal.SIGHUP)).stopped is None


@pytest.mark.parametrize("after", [7, STEPS, 2 * STEPS + 1])
@pytest.mark.parametrize("number", STOPPING)
def test_a_stopped_run_continues_bit_for_bit(run: Run, after: int, number: signal.Signals) -> None:
    handlers = [signal.getsignal(each) for each in STOPPING]
    whole = run(name="whole")
    stopped = run(name="stopped", observer=Recorder(after, number))
    assert stopped.stopped == number
    assert stopped.position.step == after
    assert [signal.getsignal(each) for each in STOPPING] == handlers
    recorder = Recorder()
    resumed = run(name="stopped", observer=recorder, resume=True)
    assert [e.step for e in recorder.steps] == list(range(after + 1, 4 * STEPS + 1))
    for name in ("last", "best"):
        expected, found = arrays(whole, name), arrays(resumed, name)
        assert {key: array.tobytes() for key, array in expected.items()} == {
            key: array.tobytes() for key, array in found.items()
        }
    assert resumed.position.best_error == whole.position.best_error
    assert resumed.position.plateau == whole.position.plateau


def lines(outcome: Outcome) -> list[tuple[str, int]]:
    """Return the kind and the step of each line for a step or an epoch."""
    assert outcome.folder is not None
    metrics = read_metrics(outcome.folder.metrics)
    return [(line["kind"], line["step"]) for line in metrics if line["kind"] in {"step", "epoch"}]


class KilledError(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("saves", [0, 1, 2])
@pytest.mark.parametrize("stopped_at", [STEPS + 3, 2 * STEPS], ids=["in an epoch", "in validation"])
def test_a_run_that_is_killed_as_an_epoch_ends_has_its_line_once(
    run: Run, stopped_at: int, saves: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(name="whole")
    run(name="killed", observer=Recorder(stopped_at))
    save, saved = loop.save_checkpoint, 0

    def save_and_die(*arguments: Any) -> None:
        nonlocal saved
        if saves:
            save(*arguments)
            saved += 1
        if saved == saves:
            raise KilledError

    monkeypatch.setattr(loop, "save_checkpoint", save_and_die)
    with pytest.raises(KilledError):
        run(name="killed", resume=True)
    monkeypatch.undo()
    resumed = run(name="killed", resume=True)
    assert lines(resumed) == lines(whole)


@pytest.mark.parametrize(("first", "second"), [("torch", "keras"), ("keras", "torch")])
def test_a_run_begun_in_one_backend_is_finished_in_the_other(run: Run, first: str, second: str) -> None:
    whole = Recorder()
    run(first, name="whole", exact=True, observer=whole)
    run(first, name="moved", exact=True, observer=Recorder(30))
    moved = Recorder()
    run(second, name="moved", exact=True, observer=moved, resume=True)
    assert [e.loss for e in moved.steps] == pytest.approx([e.loss for e in whole.steps[30:]], rel=1e-4)


def test_a_name_that_nobody_gave_is_numbered_and_the_newest_is_continued(run: Run) -> None:
    names = []
    for _ in range(3):
        folder = run(settings=("training.epochs=1",)).folder
        assert folder is not None
        names.append(folder.path.name)
    assert names == ["small", "small-2", "small-3"]
    resumed = run(settings=("training.epochs=2",), resume=True)
    assert resumed.folder is not None
    assert resumed.folder.path.name == "small-3"
    assert resumed.position.step == 2 * STEPS


def test_a_run_stops_while_it_scores_at_the_end(run: Run) -> None:
    class Interrupting(Recorder):
        def evaluating(self, done: int, samples: int) -> None:
            if len(self.epochs) == 4:
                progress.append(done)
                if len(progress) == 1:
                    signal.raise_signal(signal.SIGINT)

    progress: list[int] = []
    stopped = run(name="mine", observer=Interrupting())
    assert (stopped.stopped, stopped.scores, len(progress)) == (signal.SIGINT, None, 1)
    assert stopped.folder is not None
    assert not stopped.folder.report.exists()
    resumed = run(name="mine", resume=True)
    assert resumed.position.step == stopped.position.step == 4 * STEPS
    assert resumed.scores is not None
    assert stopped.folder.report.exists()


def test_a_report_says_when_the_first_session_began(run: Run) -> None:
    folder = run(observer=Recorder(interrupt_after=1), settings=("training.epochs=1",)).folder
    assert folder is not None
    session, rest = folder.metrics.read_text().split("\n", 1)
    earlier = json.loads(session) | {"time": "2024-02-29T12:00:00+00:00"}
    folder.metrics.write_text(f"{json.dumps(earlier)}\n{rest}")
    run(resume=True, settings=("training.epochs=1",))
    assert ">2024-02-29 12:00:00 UTC<" in folder.report.read_text()
    folder.metrics.write_text("".join(line for line in rest.splitlines(keepends=True) if '"session"' not in line))
    run(resume=True, settings=("training.epochs=1",))
    assert f">{datetime.now(UTC):%Y-%m-%d}" in folder.report.read_text(), "of an older log the time of training is told"


def test_there_must_be_something_to_resume(run: Run) -> None:
    run(name="mine", settings=("training.epochs=1",))
    with pytest.raises(NetspecError, match="no run to continue") as caught:
        run(name="yours", resume=True)
    assert "mine" in caught.value.hint


@pytest.mark.parametrize(
    ("settings", "options", "what"),
    [
        (("training.optimizer.momentum=0.5",), {}, "training.optimizer.momentum: "),
        (("training.seed=3",), {}, "training.seed: 0 before, 3 now"),
        ((), {"exact": True}, "--exact was not given before"),
        ((), {"holdout": 0.3}, "the training data are not the same as before"),
    ],
)
def test_another_run_is_not_continued(run: Run, settings: tuple[str, ...], options: dict[str, Any], what: str) -> None:
    run(name="mine", observer=Recorder(5))
    with pytest.raises(WeightsError, match="another run") as caught:
        run(name="mine", settings=settings, resume=True, **options)
    assert what in caught.value.message


def test_a_run_is_not_made_shorter_afterwards(run: Run) -> None:
    folder = run(name="mine", settings=("training.epochs=2",)).folder
    assert folder is not None
    before = folder.spec.read_text()
    with pytest.raises(NetspecError, match=f"has taken {2 * STEPS} steps, and its recipe has {STEPS} now"):
        run(name="mine", settings=("training.epochs=1",), resume=True)
    assert folder.spec.read_text() == before


def test_a_run_may_begin_with_weights(run: Run, spec: Path) -> None:
    first = run(name="first", settings=("training.epochs=1",))
    assert first.folder is not None
    recorder = Recorder()
    run(name="second", weights=first.folder.last, settings=("training.epochs=1",), observer=recorder)
    assert recorder.steps[0].error < 0.5  # it knows something already
    with pytest.raises(NetspecError, match="has its own weights"):
        run(name="first", weights=first.folder.last, resume=True)
