"""What a study has come to so far, read from what its runs left in their folders."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from netspec.training.material import recipe_of
from netspec.training.metrics import read_metrics
from netspec.training.same_run import Difference, differences
from netspec.training.study.model import Errors, Member, Study, Target
from netspec.training.study.record import StudyRun, read_record, runs_of

State = Literal["waiting", "begun", "failed", "finished"]


@dataclass(frozen=True)
class Reached:
    """When the target was first reached: at the end of this epoch, after so many seconds of training."""

    epoch: int
    seconds: float


@dataclass(frozen=True)
class RunResult:
    """What one run has come to.

    Attributes:
        epoch: the last that is over; 0 before the first ends.
        error, error_top5: of the validation set at the end, with the recipe's views; None before it or without one.
        last_error, best_error: of the validation set, center view, after the last epoch and after the best.
        reached: None while the target was not, or without one.
        failure: why it ended early, or empty.
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

    @property
    def missed(self) -> bool:
        """Whether it is finished and has not reached the target."""
        return self.state == "finished" and self.reached is None


@dataclass(frozen=True)
class Spread:
    """A figure over runs: its mean, and the standard deviation of a sample (n - 1), None of a single run."""

    mean: float
    deviation: float | None
    runs: int


@dataclass(frozen=True)
class MemberResult:
    """What the runs of a member have come to; figures are over those that have them.

    Attributes:
        epochs, seconds: until the target was reached, over the runs that have reached it.
        recipe: how its recipe differs from the first member's.
    """

    member: Member
    runs: tuple[RunResult, ...]
    recipe: tuple[Difference, ...] = ()

    @property
    def error(self) -> Spread | None:
        """Of the validation set at the end, in finished runs."""
        return spread(run.error for run in self.runs)

    @property
    def error_top5(self) -> Spread | None:
        """Likewise, that the label is not among the five best."""
        return spread(run.error_top5 for run in self.runs)

    @property
    def best_error(self) -> float | None:
        """The lowest of any run and epoch, center view."""
        return min((run.best_error for run in self.runs if run.best_error is not None), default=None)

    @property
    def epochs(self) -> Spread | None:
        """Until the target was reached."""
        return spread(run.reached.epoch if run.reached else None for run in self.runs)

    @property
    def seconds(self) -> Spread | None:
        """Until the target was reached."""
        return spread(run.reached.seconds if run.reached else None for run in self.runs)


def spread(values: Iterable[float | None]) -> Spread | None:
    """Mean and deviation of the values that there are; None without any.

    >>> spread([1.0, 3.0, None])
    Spread(mean=2.0, deviation=1.4142135623730951, runs=2)
    """
    known = [float(value) for value in values if value is not None]
    if not known:
        return None
    return Spread(statistics.fmean(known), statistics.stdev(known) if len(known) > 1 else None, len(known))


def measure(study: Study, out: Path) -> list[MemberResult]:
    """What every run has left, as it lies there: begun, finished or not.

    Args:
        study: whose runs.
        out: the folder of all runs.

    Raises:
        NetspecError: a file was edited.
    """
    runs = runs_of(study, out)
    # Without the seeds, which the study says for all of its members.
    recipes = [recipe_of(member.spec).model_dump(mode="json", exclude={"seed"}) for member in study.members]
    return [
        MemberResult(
            member,
            tuple(_measure(run, study.target) for run in runs if run.member is member),
            tuple(differences(recipes[0], own)),
        )
        for member, own in zip(study.members, recipes, strict=True)
    ]


def _measure(run: StudyRun, target: Target | None) -> RunResult:
    record = read_record(run)
    if record is None:
        return RunResult(run.name, run.seed, "waiting")
    epochs = [line for line in read_metrics(run.folder.metrics) if line["kind"] == "epoch"]
    errors = [line["validation_error"] for line in epochs if line["validation_error"] is not None]
    finish = record.finish
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
    """The first epoch whose error is no more than the target's."""
    for line in epochs:
        error = line[f"{target.split}_error"]
        if error is not None and error <= target.error:
            return Reached(line["epoch"], line["seconds"])
    return None


@dataclass(frozen=True)
class Against:
    """A member beside the first: how much higher its errors are, as shares of 1, and how many times as long it takes.

    What is not known of both is None.
    """

    top1: float | None = None
    top5: float | None = None
    epochs: float | None = None
    seconds: float | None = None


def against(result: MemberResult, first: MemberResult) -> Against:
    """What was measured of a member beside what was measured of the first."""
    return Against(
        _more(result.error, first.error),
        _more(result.error_top5, first.error_top5),
        _times(result.epochs, first.epochs),
        _times(result.seconds, first.seconds),
    )


def _more(own: Spread | None, first: Spread | None) -> float | None:
    return own.mean - first.mean if own and first else None


def _times(own: Spread | None, first: Spread | None) -> float | None:
    return own.mean / first.mean if own and first and first.mean else None


def published_against(member: Member, first: Member) -> Against:
    """What was published of a member beside what was published of the first, in the same experiment."""
    own = member.published
    if own is None or member is first:
        return Against()
    base: Errors | None = own.against or first.published
    if base is None:
        return Against()
    return Against(_less(own.top1_error, base.top1_error), _less(own.top5_error, base.top5_error))


def _less(own: float | None, base: float | None) -> float | None:
    return round(own - base, 12) if own is not None and base is not None else None


def as_json(study: Study, results: Sequence[MemberResult]) -> dict[str, Any]:
    """All of it, as JSON has it."""
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
        **{name: value for name, value in vars(run).items() if name != "reached"},
        "epochs_to_target": run.reached.epoch if run.reached else None,
        "seconds_to_target": run.reached.seconds if run.reached else None,
    }
