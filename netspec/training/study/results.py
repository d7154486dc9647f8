"""The results of a study so far, read from the folders and records of its runs."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from netspec.training.material import recipe_of
from netspec.training.metrics import read_metrics
from netspec.training.same_run import Difference, differences
from netspec.training.study.model import Errors, Member, Study, Target
from netspec.training.study.record import StudyRun, other_settings, read_record, runs_of

Asked = Callable[[StudyRun], Mapping[str, Any]]
State = Literal["waiting", "begun", "failed", "finished", "other"]


@dataclass(frozen=True)
class Reached:
    """When a run first reached the target: at the end of this epoch, after this many seconds of training."""

    epoch: int
    seconds: float


@dataclass(frozen=True)
class RunResult:
    """The result of one run so far.

    Attributes:
        name: the name of the run.
        seed: the seed of its recipe.
        state: `waiting` if it was never begun, `begun` if it is running, was interrupted or is to take more
            steps, `other` if it was trained with other settings, or how it ended. An `other` run has no figures.
        epoch: the last completed epoch; 0 before the first.
        error, error_top5: final errors on the validation set, with the recipe's views; None if not known.
        last_error, best_error: errors on the validation set, center view, after the last epoch and after the best one.
        reached: when the target was reached; None if it was not, or there is none.
        failure: why the run failed, or empty.
        differs: how the settings of a run in state `other` differ from those asked for.
    """

    name: str
    seed: int
    state: State
    epoch: int = 0
    error: float | None = None
    error_top5: float | None = None
    last_error: float | None = None
    best_error: float | None = None
    reached: Reached | None = None
    failure: str = ""
    differs: tuple[str, ...] = ()

    @property
    def missed_target(self) -> bool:
        """Whether the run finished without reaching the target."""
        return self.state == "finished" and self.reached is None


@dataclass(frozen=True)
class Spread:
    """The mean and the sample standard deviation (n - 1) of a figure over runs; a single run has no deviation."""

    mean: float
    deviation: float | None
    runs: int


@dataclass(frozen=True)
class MemberResult:
    """The results of a member's runs. A figure is over the runs for which it is known, and None if there are none.

    Attributes:
        member: the member.
        runs: the result of each run.
        recipe: the differences between its recipe and the first member's.
    """

    member: Member
    runs: tuple[RunResult, ...]
    recipe: tuple[Difference, ...] = ()

    @property
    def error(self) -> Spread | None:
        """The final validation error of the finished runs."""
        return spread(run.error for run in self.runs)

    @property
    def error_top5(self) -> Spread | None:
        """The final top-5 validation error of the finished runs."""
        return spread(run.error_top5 for run in self.runs)

    @property
    def best_error(self) -> float | None:
        """The lowest validation error over all runs and epochs, center view."""
        return min((run.best_error for run in self.runs if run.best_error is not None), default=None)

    @property
    def epochs(self) -> Spread | None:
        """The epochs until the target was reached."""
        return spread(run.reached.epoch if run.reached else None for run in self.runs)

    @property
    def seconds(self) -> Spread | None:
        """The seconds of training until the target was reached."""
        return spread(run.reached.seconds if run.reached else None for run in self.runs)


def spread(values: Iterable[float | None]) -> Spread | None:
    """The mean and deviation of the values that are not None; None if there are none.

    >>> spread([1.0, 3.0, None])
    Spread(mean=2.0, deviation=1.4142135623730951, runs=2)
    """
    known = [float(value) for value in values if value is not None]
    if not known:
        return None
    return Spread(statistics.fmean(known), statistics.stdev(known) if len(known) > 1 else None, len(known))


def measure(study: Study, out: Path, asked: Asked | None = None) -> list[MemberResult]:
    """The results of all members, read from the files of their runs, whether these are finished or not.

    Args:
        study: the study.
        out: the folder of all runs.
        asked: returns the settings that a run is to have, as `settings_of` does. Runs with others are not counted: a
            mean over runs of different lengths or data tells nothing. None counts all runs that there are.

    Raises:
        NetspecError: a file was edited and cannot be read.
    """
    runs = runs_of(study, out)
    # Seeds are left out, since the study sets the same ones for all members.
    recipes = [recipe_of(member.spec).model_dump(mode="json", exclude={"seed"}) for member in study.members]
    return [
        MemberResult(
            member,
            tuple(_measure_run(run, study.target, asked) for run in runs if run.member is member),
            tuple(differences(recipes[0], recipe)),
        )
        for member, recipe in zip(study.members, recipes, strict=True)
    ]


def _measure_run(run: StudyRun, target: Target | None, asked: Asked | None) -> RunResult:
    record = read_record(run)
    if record is None:
        return RunResult(run.name, run.seed, "waiting")
    settings = record.asked if asked is None else asked(run)
    if differs := other_settings(run, record, settings):
        return RunResult(run.name, run.seed, "other", differs=tuple(differs))
    epochs = [line for line in read_metrics(run.folder.metrics) if line["kind"] == "epoch"]
    errors = [line["validation_error"] for line in epochs if line["validation_error"] is not None]
    finish = record.finish if record.asked == settings else None
    return RunResult(
        name=run.name,
        seed=run.seed,
        state="finished" if finish else "failed" if record.failure else "begun",
        epoch=epochs[-1]["epoch"] if epochs else 0,
        error=finish.error if finish else None,
        error_top5=finish.error_top5 if finish else None,
        last_error=errors[-1] if errors else None,
        best_error=min(errors, default=None),
        reached=_reached(epochs, target) if target is not None else None,
        failure=record.failure,
    )


def _reached(epochs: Sequence[dict[str, Any]], target: Target) -> Reached | None:
    """The first epoch whose error is at most the target's."""
    for line in epochs:
        error = line[f"{target.split}_error"]
        if error is not None and error <= target.error:
            return Reached(line["epoch"], line["seconds"])
    return None


@dataclass(frozen=True)
class Against:
    """A member compared with the first: differences of errors, as shares of 1, and ratios of epochs and seconds.

    A figure is None unless it is known for both.
    """

    top1: float | None = None
    top5: float | None = None
    epochs: float | None = None
    seconds: float | None = None


def against(result: MemberResult, first: MemberResult) -> Against:
    """The measured figures of a member compared with those of the first."""
    return Against(
        _mean_difference(result.error, first.error),
        _mean_difference(result.error_top5, first.error_top5),
        _mean_ratio(result.epochs, first.epochs),
        _mean_ratio(result.seconds, first.seconds),
    )


def _mean_difference(figure: Spread | None, first: Spread | None) -> float | None:
    return figure.mean - first.mean if figure and first else None


def _mean_ratio(figure: Spread | None, first: Spread | None) -> float | None:
    return figure.mean / first.mean if figure and first and first.mean else None


def published_against(member: Member, first: Member) -> Against:
    """The published errors of a member compared with those of the first in the same experiment."""
    figures = member.published
    if figures is None or member is first:
        return Against()
    base: Errors | None = figures.against or first.published
    if base is None:
        return Against()
    return Against(_difference(figures.top1_error, base.top1_error), _difference(figures.top5_error, base.top5_error))


def _difference(error: float | None, base: float | None) -> float | None:
    return round(error - base, 12) if error is not None and base is not None else None


def as_json(study: Study, results: Sequence[MemberResult]) -> dict[str, Any]:
    """The study and its results as a JSON object."""
    first = results[0]
    return {
        "study": study.name,
        "source": study.source,
        "backend": study.backend,
        "data": study.data.path,
        "seeds": list(study.seeds),
        "target": study.target.model_dump(exclude_none=True) if study.target else None,
        "members": [_member_as_json(result, first) for result in results],
    }


def _member_as_json(result: MemberResult, first: MemberResult) -> dict[str, Any]:
    published = result.member.published
    return {
        "member": result.member.name,
        "network": result.member.spec.name,
        "error": _spread_as_json(result.error),
        "error_top5": _spread_as_json(result.error_top5),
        "best_error": result.best_error,
        "epochs_to_target": _spread_as_json(result.epochs),
        "seconds_to_target": _spread_as_json(result.seconds),
        "against_first": vars(against(result, first)) if result is not first else None,
        "published": published.model_dump(exclude_none=True) if published else None,
        "recipe_differs": {each.path: {"first": each.before, "own": each.now} for each in result.recipe},
        "runs": [_run_as_json(run) for run in result.runs],
    }


def _spread_as_json(value: Spread | None) -> dict[str, Any] | None:
    return vars(value) if value is not None else None


def _run_as_json(run: RunResult) -> dict[str, Any]:
    return {
        **{name: value for name, value in vars(run).items() if name not in {"reached", "differs"}},
        "differs": list(run.differs),
        "epochs_to_target": run.reached.epoch if run.reached else None,
        "seconds_to_target": run.reached.seconds if run.reached else None,
    }
