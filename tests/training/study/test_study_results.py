"""The figures of a study, compared with those computed by hand from the files of its runs."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from netspec.cli.study_table import note_lines, table_lines
from netspec.lowering import find_backend
from netspec.training.events import Observers
from netspec.training.options import TrainOptions
from netspec.training.study.model import Study, Target
from netspec.training.study.read import read_study
from netspec.training.study.record import Finish, Record, StudyRun, runs_of, write_record
from netspec.training.study.results import Spread, against, as_json, measure, published_against
from netspec.training.study.train import Progress, train_here
from tests.training.study.conftest import WriteStudy


def leave(
    run: StudyRun,
    training: list[float],
    validation: list[float | None],
    finish: Finish | None = None,
    failure: str = "",
) -> None:
    """Write the files that a run of so many epochs leaves, each of ten seconds."""
    lines: list[dict[str, Any]] = [{"kind": "note", "text": "CPU"}, {"kind": "step", "step": 1, "error": 0.0}]
    for epoch, (own, other) in enumerate(zip(training, validation, strict=True), 1):
        lines.append(
            {"kind": "epoch", "epoch": epoch, "step": epoch, "training_error": own, "validation_error": other}
            | {"seconds": 10.0 * epoch + run.seed}
        )
    run.folder.path.mkdir(parents=True)
    run.folder.metrics.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    write_record(run, Record({}, finish, failure))


@pytest.fixture
def study(write_study: WriteStudy) -> Study:
    """Return a study of ten epochs with the seeds 0, 1 and 2."""
    return read_study(write_study(("epochs: 2", "epochs: 10")), seeds=(0, 1, 2)).on("there", "torch")


@pytest.fixture
def left(study: Study, tmp_path: Path) -> Path:
    """Write all runs of `wide`; of `slow` a finished one, a failed one, and none with the last seed."""
    runs = {run.name: run for run in runs_of(study, tmp_path)}
    for seed, (epochs, error) in enumerate([(2, 0.10), (3, 0.12), (4, 0.17)]):
        training = [0.9, 0.5, 0.4] if epochs == 2 else [0.9, *[0.6] * (epochs - 2), 0.45]
        validation: list[float | None] = [0.8] * (len(training) - 1)
        leave(runs[f"wide-seed{seed}"], training, [*validation, 0.3 - seed / 10], Finish(30, 50.0, error, error / 10))
    leave(runs["slow-seed0"], [0.9, 0.8], [0.7, 0.75], Finish(20, 60.0, 0.5))
    leave(runs["slow-seed1"], [0.9], [0.6], failure="the loss became NaN\nafter step 3")
    return tmp_path


def test_figures_are_these(study: Study, left: Path) -> None:
    wide, slow = measure(study, left)
    assert wide.error == Spread(pytest.approx(0.13), pytest.approx(statistics.stdev([0.10, 0.12, 0.17])), 3)
    assert wide.error_top5 == Spread(pytest.approx(0.013), pytest.approx(statistics.stdev([0.01, 0.012, 0.017])), 3)
    assert wide.best_error == pytest.approx(0.1)
    assert wide.epochs == Spread(3.0, 1.0, 3)  # the first at which training error was no more than 0.5: 2, 3, 4
    assert wide.seconds == Spread(31.0, 11.0, 3)  # 20, 31, 42
    assert slow.error == Spread(0.5, None, 1)
    assert (slow.error_top5, slow.epochs, slow.seconds) == (None, None, None)
    assert slow.best_error == 0.6
    assert [run.state for run in slow.runs] == ["finished", "failed", "waiting"]
    assert [run.missed_target for run in slow.runs] == [True, False, False]
    assert against(slow, wide).top1 == pytest.approx(0.37)
    assert against(slow, wide).epochs is None
    assert [(each.path, each.before, each.now) for each in slow.recipe] == [
        ("optimizer.learning_rate", "0.02", "1e-06")
    ]


def test_a_seed_is_no_difference_of_recipes(write_study: WriteStudy, tmp_path: Path) -> None:
    study = read_study(write_study(("learning_rate: 1e-6", "learning_rate: 1e-6, training.seed: 5")))
    assert [each.path for each in measure(study, tmp_path)[1].recipe] == ["optimizer.learning_rate"]


def test_the_target_may_be_the_validation_error(study: Study, left: Path) -> None:
    wide, _ = measure(replace(study, target=Target(validation_error=0.3)), left)
    assert wide.epochs == Spread(pytest.approx((3 + 3 + 4) / 3), pytest.approx(statistics.stdev([3, 3, 4])), 3)
    without, _ = measure(replace(study, target=None), left)
    assert without.epochs is None


def test_times_are_ratios_of_means(study: Study, tmp_path: Path) -> None:
    for run in runs_of(study, tmp_path):
        slow = run.member.name == "slow"
        leave(run, [0.6] * (5 if slow else 1) + [0.4], [None] * (6 if slow else 2), Finish(1, 1.0))
    wide, slow_result = measure(study, tmp_path)
    assert wide.error is None
    assert wide.best_error is None
    found = against(slow_result, wide)
    assert (found.top1, found.epochs, found.seconds) == (None, 6 / 2, pytest.approx(61 / 21))


def test_the_table_is_this(study: Study, left: Path) -> None:
    results = measure(study, left)
    assert table_lines(study, results) == [
        "small: a test",
        "",
        "member    runs    top-1 error  published  against wide  published    best            epochs      seconds"
        "  published",
        "wide         3  13.00 ± 3.61%     20.00%                           10.00%         3.0 ± 1.0  31.0 ± 11.0",
        "slow    1 of 3         50.00%     25.00%        +37.00      +5.00  60.00%  not in 10 epochs             "
        "  much slower",
    ]
    assert note_lines(study, results) == [
        "trained in torch on there",
        "±: the standard deviation over seeds, of 0, 1, 2",
        "epochs, seconds: of training until 50% training error was reached; times wide's: both, divided by those of "
        "wide",
        "the recipe of slow differs from wide's: optimizer.learning_rate 1e-06, not 0.02",
        "slow-seed1: failed after 1 of 10 epochs, validation error 60.00%: the loss became NaN",
        "published, wide: nowhere",
        "published, slow: nowhere else",
    ]


def test_without_a_target_the_table_has_no_durations(study: Study, left: Path) -> None:
    study = replace(study, target=None)
    header, wide, slow = table_lines(study, measure(study, left))[2:]
    assert "epochs" not in header
    assert not any("epochs" in row for row in (wide, slow))


def test_words_are_folded_where_a_terminal_is_narrow(study: Study, left: Path) -> None:
    results = measure(study, left)
    whole = table_lines(study, results)
    narrow = table_lines(study, results, max(map(len, whole)) - 2)
    assert [line.split()[-1] for line in narrow[-2:]] == ["much", "slower"]


def test_before_a_study_is_begun_its_table_has_what_was_published(study: Study, tmp_path: Path) -> None:
    assert table_lines(study, measure(study, tmp_path))[2:] == [
        "member    runs  top-1 error  published  against wide  published  published",
        "wide    0 of 3                  20.00%",
        "slow    0 of 3                  25.00%                    +5.00  much slower",
    ]


def test_json_says_the_same(study: Study, left: Path) -> None:
    found = json.loads(json.dumps(as_json(study, measure(study, left)), allow_nan=False))
    wide, slow = found["members"]
    assert (found["study"], found["target"], found["seeds"]) == ("small", {"training_error": 0.5}, [0, 1, 2])
    assert wide["error"] == {"mean": pytest.approx(0.13), "deviation": pytest.approx(0.036055513), "runs": 3}
    assert wide["epochs_to_target"]["mean"] == 3
    assert wide["against_first"] is None
    assert slow["against_first"]["top1"] == pytest.approx(0.37)
    assert slow["published"] == {"top1_error": 0.25, "claim": "much slower", "source": "nowhere else"}
    assert slow["recipe_differs"] == {"optimizer.learning_rate": {"first": "0.02", "own": "1e-06"}}
    assert [run["state"] for run in slow["runs"]] == ["finished", "failed", "waiting"]
    assert slow["runs"][1]["failure"].startswith("the loss became NaN")


def test_published_differences_are_of_one_experiment(write_study: WriteStudy) -> None:
    study = read_study(write_study(("{top1_error: 0.25,", "{top1_error: 0.25, against: {top1_error: 0.24},")))
    wide, slow = study.members
    assert published_against(slow, wide).top1 == pytest.approx(0.01)
    assert published_against(wide, wide).top1 is None


def test_figures_of_real_runs(write_study: WriteStudy, data: Path, tmp_path: Path) -> None:
    study = read_study(write_study(("1e-6", "0.01")), seeds=(0, 1))
    options = TrainOptions(data=str(data), holdout=0.2, out=tmp_path)

    @contextmanager
    def watch(_: StudyRun) -> Iterator[tuple[Observers, Progress]]:
        yield Observers(), lambda _: None

    runs = runs_of(study, tmp_path)
    assert not any(ending.failure for ending in train_here(runs, find_backend("torch"), options, watch))
    for result in measure(study, tmp_path):
        last, reached = [], []
        for seed in (0, 1):
            text = (tmp_path / "small" / f"{result.member.name}-seed{seed}" / "metrics.jsonl").read_text()
            epochs = [line for line in map(json.loads, text.splitlines()) if line["kind"] == "epoch"]
            last.append(epochs[-1]["validation_error"])
            reached += [line["epoch"] for line in epochs if line["training_error"] <= 0.5][:1]
        assert result.error == Spread(pytest.approx(sum(last) / 2), pytest.approx(statistics.stdev(last)), 2)
        assert reached
        assert result.epochs is not None
        assert result.epochs.mean == sum(reached) / len(reached)
