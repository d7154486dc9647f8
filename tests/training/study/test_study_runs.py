"""The runs of a study: each is trained once, a started one is continued exactly, and a changed one is refused."""

from __future__ import annotations

import errno
import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netspec.errors import NetspecError
from netspec.lowering import find_backend
from netspec.training.events import Observers, StepDone
from netspec.training.options import TrainOptions
from netspec.training.run import train
from netspec.training.same_run import differences
from netspec.training.study.model import Study
from netspec.training.study.read import read_study
from netspec.training.study.record import StudyRun, held, is_finished, read_record, runs_of, settings_of
from netspec.training.study.train import Ending, Progress, train_here
from netspec.weights import read_arrays
from tests.training.study.conftest import WriteStudy

TORCH = find_backend("torch")
STEPS = 20  # an epoch


class Interrupter(Observers):
    """Counts steps; sends a signal after one of them."""

    def __init__(self, after: int | None = None) -> None:
        super().__init__()
        self.steps: list[int] = []
        self._after = after

    def step(self, event: StepDone) -> None:
        self.steps.append(event.step)
        if event.step == self._after:
            signal.raise_signal(signal.SIGINT)


Observed = dict[str, Interrupter]


class Trainings:
    """Trains a study as the command does, in this process."""

    def __init__(self, out: Path, data: Path) -> None:
        self.options = TrainOptions(data=str(data), holdout=0.2, out=out)
        self.observed: Observed = {}

    def pending(self, study: Study) -> list[StudyRun]:
        runs = runs_of(study, self.options.out)
        return [run for run in runs if not is_finished(run, settings_of(run, TORCH.name, self.options))]

    def train(self, study: Study, **interrupt: int) -> list[Ending]:
        """Train the study. Keys of `interrupt` are runs with _ for -, values the steps after which a signal comes."""
        self.observed = {}

        @contextmanager
        def watch(run: StudyRun) -> Iterator[tuple[Observers, Progress]]:
            observer = self.observed[run.name] = Interrupter(interrupt.get(run.name.replace("-", "_")))
            yield observer, lambda _: None

        return list(train_here(self.pending(study), TORCH, self.options, watch))


@pytest.fixture
def trainings(tmp_path: Path, data: Path) -> Trainings:
    return Trainings(tmp_path / "runs", data)


def weights(run: StudyRun) -> dict[str, bytes]:
    arrays: dict[str, np.ndarray[Any, Any]] = read_arrays(run.folder.last)[0]
    return {name: array.tobytes() for name, array in arrays.items()}


def test_every_member_is_trained_with_every_seed(
    trainings: Trainings, write_study: WriteStudy, tmp_path: Path, data: Path
) -> None:
    study = read_study(write_study())
    endings = trainings.train(study)
    assert endings == [Ending(run) for run in runs_of(study, tmp_path / "runs")]
    assert [ending.run.name for ending in endings] == ["wide-seed0", "slow-seed0", "wide-seed1", "slow-seed1"]
    alone = train(
        endings[2].run.spec, TORCH, TrainOptions(str(data), holdout=0.2, name="alone", out=tmp_path), Observers()
    )
    assert alone.folder is not None
    assert alone.scores is not None
    expected = {name: array.tobytes() for name, array in read_arrays(alone.folder.last)[0].items()}
    assert weights(endings[2].run) == expected
    assert weights(endings[0].run) != expected
    record = read_record(endings[2].run)
    assert record is not None
    assert record.finish is not None
    assert (record.finish.step, record.finish.error) == (2 * STEPS, alone.scores.error)


def test_finished_runs_are_left_alone(trainings: Trainings, write_study: WriteStudy) -> None:
    study = read_study(write_study())
    trainings.train(study)
    assert trainings.train(study) == []
    more = replace(study, seeds=(0, 1, 2))
    assert [ending.run.name for ending in trainings.train(more)] == ["wide-seed2", "slow-seed2"]


def test_a_stopped_study_continues_bit_for_bit(trainings: Trainings, write_study: WriteStudy, tmp_path: Path) -> None:
    study = read_study(write_study())
    whole = Trainings(tmp_path / "whole", Path(trainings.options.data))
    whole.train(study)
    endings = trainings.train(study, slow_seed0=27)
    assert [(ending.run.name, ending.stopped) for ending in endings] == [
        ("wide-seed0", None),
        ("slow-seed0", signal.SIGINT),
    ]
    trainings.train(study)
    assert list(trainings.observed) == ["slow-seed0", "wide-seed1", "slow-seed1"]
    assert trainings.observed["slow-seed0"].steps == list(range(28, 2 * STEPS + 1))
    for mine, theirs in zip(runs_of(study, tmp_path / "runs"), runs_of(study, tmp_path / "whole"), strict=True):
        assert weights(mine) == weights(theirs), mine.name


def test_a_run_killed_before_its_first_checkpoint_is_begun_anew(trainings: Trainings, write_study: WriteStudy) -> None:
    study = replace(read_study(write_study()), seeds=(0,))
    trainings.train(study, wide_seed0=3)
    folder = runs_of(study, trainings.options.out)[0].folder
    folder.last.unlink()
    trainings.train(study)
    assert trainings.observed["wide-seed0"].steps == list(range(1, 2 * STEPS + 1))


def test_a_longer_study_continues_what_is_finished(trainings: Trainings, write_study: WriteStudy) -> None:
    study = replace(read_study(write_study()), seeds=(0,))
    trainings.train(study)
    longer = replace(read_study(write_study(("epochs: 2", "epochs: 3"))), seeds=(0,))
    trainings.train(longer)
    assert trainings.observed["slow-seed0"].steps == list(range(2 * STEPS + 1, 3 * STEPS + 1))
    with pytest.raises(NetspecError, match=r"training\.epochs: 3 before, 2 now"):
        trainings.pending(study)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("learning_rate: 1e-6", "learning_rate: 1e-5", "training.optimizer.learning_rate: 1e-06 before, 1e-05 now"),
        ("set: {training.opt", "set: {classes: 6, training.opt", "the network has changed"),
        ("training.epochs: 2", "training.epochs: null, training.steps: 40", "training.epochs: 2 before, nothing now"),
    ],
)
def test_what_has_changed_is_refused_before_anything_is_trained(
    trainings: Trainings, write_study: WriteStudy, old: str, new: str, message: str
) -> None:
    trainings.train(replace(read_study(write_study()), seeds=(0,)))
    with pytest.raises(NetspecError, match="is another run than the one asked for") as caught:
        trainings.train(read_study(write_study((old, new))))
    assert message in caught.value.message
    changed = "wide-seed0" if old == "training.epochs: 2" else "slow-seed0"
    assert caught.value.message.startswith(str(trainings.options.out / "small" / changed))
    assert f"remove {trainings.options.out / 'small' / changed} and {changed}.json" in caught.value.hint
    assert not trainings.observed


def test_other_data_and_another_backend_are_other_runs(
    trainings: Trainings, write_study: WriteStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = replace(read_study(write_study()), seeds=(0,))
    trainings.train(study)
    run = runs_of(study, trainings.options.out)[0]
    options = trainings.options
    monkeypatch.chdir(options.out)
    assert is_finished(run, settings_of(run, "torch", replace(options, data="../data.npz")))  # the same from elsewhere
    Path("digits").mkdir()  # `--data digits` is not this folder
    assert settings_of(run, "torch", replace(options, data="digits"))["data"] == "digits"
    for other, backend in ((replace(options, data="digits"), "torch"), (options, "keras")):
        with pytest.raises(NetspecError, match=r"data: |backend: "):
            is_finished(run, settings_of(run, backend, other))


def test_a_member_that_fails_is_named_and_the_others_go_on(trainings: Trainings, write_study: WriteStudy) -> None:
    study = read_study(write_study(("learning_rate: 1e-6", "learning_rate: 1e30")))
    endings = trainings.train(study)
    assert [bool(ending.failure) for ending in endings] == [False, True, False, True]
    record = read_record(endings[1].run)
    assert record is not None
    assert record.failure == endings[1].failure
    assert "loss" in record.failure
    assert [run.name for run in trainings.pending(study)] == ["slow-seed0", "slow-seed1"]


def test_a_folder_that_is_not_of_this_study_is_not_touched(trainings: Trainings, write_study: WriteStudy) -> None:
    study = read_study(write_study())
    folder = runs_of(study, trainings.options.out)[0].folder.path
    folder.mkdir(parents=True)
    with pytest.raises(NetspecError, match="not a run of this study"):
        trainings.train(study)
    assert folder.is_dir()


@pytest.mark.parametrize("content", ["{", "{}", '{"asked": {}, "finish": {"stop": 3}, "failure": ""}'])
def test_a_damaged_record_is_an_error(trainings: Trainings, write_study: WriteStudy, content: str) -> None:
    study = read_study(write_study())
    run = runs_of(study, trainings.options.out)[0]
    run.record.parent.mkdir(parents=True)
    run.record.write_text(content)
    with pytest.raises(NetspecError, match="not the record of a run"):
        trainings.pending(study)


def test_two_processes_do_not_train_the_same_run(trainings: Trainings, write_study: WriteStudy) -> None:
    study = replace(read_study(write_study()), seeds=(0,))
    first, _ = runs_of(study, trainings.options.out)
    with held(first):
        endings = trainings.train(study)
    assert "another process is training this run" in endings[0].failure
    assert not endings[1].failure
    assert [ending.run for ending in trainings.train(study)] == [first]  # it was let go


def test_without_file_locks_a_run_is_trained_nevertheless(
    trainings: Trainings, write_study: WriteStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_locks(handle: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", without_locks)
    study = replace(read_study(write_study()), seeds=(0,))
    assert not any(ending.failure for ending in trainings.train(study))


def test_a_record_holds_the_settings_of_its_run(trainings: Trainings, write_study: WriteStudy) -> None:
    study = replace(read_study(write_study()), seeds=(1,))
    trainings.train(study)
    run = runs_of(study, trainings.options.out)[1]
    asked = json.loads(run.record.read_text())["asked"]
    assert asked["training"]["seed"] == 1
    assert asked["training"]["optimizer"]["learning_rate"] == 1e-6
    assert asked["data"] == trainings.options.data


Recipe = dict[str, Any]
Case = tuple[Recipe, Recipe, list[tuple[str, str, str]]]
CASES: list[Case] = [
    ({"a": 1}, {"a": 1}, []),
    ({"a": {"b": 1, "c": [2]}}, {"a": {"b": 1, "c": [3]}}, [("a.c", "[2]", "[3]")]),
    ({"a": None}, {"a": {"b": 1}}, [("a", "nothing", '{"b": 1}')]),
    ({"a": 1}, {"b": "x"}, [("a", "1", "nothing"), ("b", "nothing", '"x"')]),
]


@pytest.mark.parametrize(("before", "now", "expected"), CASES)
def test_differences(before: Recipe, now: Recipe, expected: list[tuple[str, str, str]]) -> None:
    assert [(each.path, each.before, each.now) for each in differences(before, now)] == expected
