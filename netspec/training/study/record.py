"""One run of a study: its paths, and its record, a JSON file that keeps its settings and its outcome."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from netspec.errors import NetspecError
from netspec.files import write_whole
from netspec.graph.text import spec_hash
from netspec.recipe import Recipe
from netspec.spec import ModelSpec, elaborate
from netspec.training.data.sources import DIGITS
from netspec.training.folder import RunFolder
from netspec.training.lock import lock
from netspec.training.material import recipe_of
from netspec.training.options import TrainOptions
from netspec.training.same_run import ABSENT, LENGTH, Difference, differences, with_defaults
from netspec.training.study.model import Member, Study


@dataclass(frozen=True)
class StudyRun:
    """A member trained with one seed.

    Attributes:
        member: the member that is trained.
        seed: the seed of its recipe.
        root: the folder of the study.
    """

    member: Member
    seed: int
    root: Path

    @property
    def name(self) -> str:
        """The name of the run, for example `relu-seed0`."""
        return f"{self.member.name}-seed{self.seed}"

    @property
    def spec(self) -> ModelSpec:
        """The spec of the member, with this seed."""
        return replace(self.member.spec, training=self.recipe)

    @property
    def recipe(self) -> Recipe:
        """The recipe of the member, with this seed."""
        return recipe_of(self.member.spec).model_copy(update={"seed": self.seed})

    @property
    def folder(self) -> RunFolder:
        """The run folder, as `netspec train` writes it."""
        return RunFolder(self.root / self.name)

    @property
    def record(self) -> Path:
        """The record of the run. It lies beside the run folder because it exists before it, and may outlive it."""
        return self.root / f"{self.name}.json"

    @property
    def log(self) -> Path:
        """The log of the run's process, if it is trained in a separate one."""
        return self.root / f"{self.name}.log"


def runs_of(study: Study, out: Path) -> list[StudyRun]:
    """All runs of a study, ordered by seed and then by member, so that members can be compared early."""
    return [StudyRun(member, seed, out / study.name) for seed in study.seeds for member in study.members]


@dataclass(frozen=True)
class Finish:
    """The outcome of a run that has completed its schedule.

    Attributes:
        step: the number of steps taken.
        seconds: time spent training.
        error, error_top5: errors on the validation set, with the recipe's views; None without a validation set.
    """

    step: int
    seconds: float
    error: float | None = None
    error_top5: float | None = None


@dataclass(frozen=True)
class Record:
    """The record of a run.

    Attributes:
        asked: the settings that determine its outcome, as JSON.
        finish: the outcome; None until the run is finished.
        failure: why the run failed, or empty.
    """

    asked: Mapping[str, Any]
    finish: Finish | None = None
    failure: str = ""


def settings_of(run: StudyRun, backend: str, options: TrainOptions) -> dict[str, Any]:
    """The settings that determine the outcome of a run, as JSON."""
    return {
        "network": spec_hash(elaborate(run.spec)),
        "backend": backend,
        "data": _absolute(options.data),
        "validation": _absolute(options.validation) if options.validation is not None else None,
        "holdout": options.holdout,
        "precision": options.precision,
        "exact": options.exact,
        "training": run.recipe.model_dump(mode="json"),
    }


def _absolute(data: str) -> str:
    """The location of data, absolute if it is a local path: a study may be continued from another folder."""
    return str(Path(data).resolve()) if data != DIGITS and Path(data).exists() else data


def read_record(run: StudyRun) -> Record | None:
    """The record of a run; None if the run was never begun.

    Raises:
        NetspecError: the file is not a record.
    """
    if not run.record.is_file():
        return None
    try:
        fields = json.loads(run.record.read_text(encoding="utf-8"))
        finish = Finish(**fields["finish"]) if fields["finish"] else None
        asked = fields["asked"]
        if "training" in asked:
            asked = {**asked, "training": with_defaults(asked["training"])}
        return Record(asked, finish, fields["failure"])
    except (ValueError, KeyError, TypeError) as error:
        raise NetspecError(f"{run.record}: not the record of a run", f"remove it, and {run.folder.path}") from error


def write_record(run: StudyRun, record: Record) -> None:
    """Write a record atomically."""
    write_whole(run.record, json.dumps(asdict(record), indent=2, ensure_ascii=False) + "\n")


def is_finished(run: StudyRun, asked: Mapping[str, Any]) -> bool:
    """Whether a run has been completed with these settings. If not, it may be missing, incomplete, or shorter.

    Raises:
        NetspecError: the folder holds a run with other settings; the message names each difference.
    """
    record = read_record(run)
    if record is None:
        if run.folder.path.exists():
            raise NetspecError(f"{run.folder.path}: not a run of this study", "remove it, or give another --out")
        return False
    if sentences := other_settings(run, record, asked):
        listed = "\n  ".join(sentences)
        raise NetspecError(
            f"{run.folder.path} is another run than the one asked for:\n  {listed}",
            f"remove {run.folder.path} and {run.record.name} to train it anew, or give another --out",
        )
    return record.finish is not None and record.asked == asked


def other_settings(run: StudyRun, record: Record, asked: Mapping[str, Any]) -> list[str]:
    """How the settings of a recorded run differ from those asked for, unless it only has to be trained for longer."""
    differ = [each for each in differences(record.asked, asked) if each.path not in {f"training.{n}" for n in LENGTH}]
    differ += _shortened(record.asked["training"], asked["training"]) if run.folder.last.is_file() else []
    return [_sentence(each) for each in differ]


def _sentence(difference: Difference) -> str:
    if difference.path == "network":  # its values are hashes
        return "the network has changed"
    return f"{difference.path}: {difference.before} before, {difference.now} now"


def _shortened(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Difference]:
    """The difference in length, if the run is now shorter or counted in another unit: it may have gone further."""
    return [
        each
        for each in differences({n: before[n] for n in LENGTH}, {n: now[n] for n in LENGTH}, "training.")
        if ABSENT in (each.before, each.now) or float(each.now) < float(each.before)
    ]


@contextmanager
def held(run: StudyRun) -> Iterator[None]:
    """A context that holds a run exclusively; the lock is released even if the process is killed.

    Raises:
        NetspecError: another process holds the run, or the study's folder cannot be written.
    """
    path = run.root / ".locks" / run.name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a")
    except OSError as error:
        raise NetspecError(f"cannot write {path}: {error.strerror}", "choose another folder with --out") from error
    with file:
        try:
            lock(file.fileno())
        except BlockingIOError as error:
            raise NetspecError(
                f"{run.folder.path}: another process is training this run", "wait for it, or stop it"
            ) from error
        yield
