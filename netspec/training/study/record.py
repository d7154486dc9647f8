"""One run of a study: where it lies, what was asked of it, and what came of it, kept in a file beside its folder."""

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
from netspec.training.folder import RunFolder
from netspec.training.lock import lock
from netspec.training.material import recipe_of
from netspec.training.options import TrainOptions
from netspec.training.same_run import ABSENT, LENGTH, Difference, differences, filled_in
from netspec.training.study.model import Member, Study


@dataclass(frozen=True)
class StudyRun:
    """A member trained from one seed.

    Attributes:
        root: the study's folder.
    """

    member: Member
    seed: int
    root: Path

    @property
    def name(self) -> str:
        """`relu-seed0`."""
        return f"{self.member.name}-seed{self.seed}"

    @property
    def spec(self) -> ModelSpec:
        """The member's, with this seed."""
        return replace(self.member.spec, training=self.recipe)

    @property
    def recipe(self) -> Recipe:
        """The member's, with this seed."""
        return recipe_of(self.member.spec).model_copy(update={"seed": self.seed})

    @property
    def folder(self) -> RunFolder:
        """What `netspec train` leaves."""
        return RunFolder(self.root / self.name)

    @property
    def record(self) -> Path:
        """What was asked and what came of it: beside the folder, as it is there before and after it."""
        return self.root / f"{self.name}.json"

    @property
    def log(self) -> Path:
        """What its process says, where it has one of its own."""
        return self.root / f"{self.name}.log"


def runs_of(study: Study, out: Path) -> list[StudyRun]:
    """Every run, all members with one seed before the next seed: there is something to compare early."""
    return [StudyRun(member, seed, out / study.name) for seed in study.seeds for member in study.members]


@dataclass(frozen=True)
class Finish:
    """How a run ended: with its whole schedule behind it.

    Attributes:
        step: the last.
        seconds: spent training.
        error, error_top5: of the validation set, with the recipe's views; None without one.
    """

    step: int
    seconds: float
    error: float | None = None
    error_top5: float | None = None


@dataclass(frozen=True)
class Record:
    """What is kept of a run.

    Attributes:
        asked: all that decides its outcome, as JSON.
        finish: None while it is not finished.
        failure: why it ended early, or empty.
    """

    asked: Mapping[str, Any]
    finish: Finish | None = None
    failure: str = ""


def asked_of(run: StudyRun, backend: str, options: TrainOptions) -> dict[str, Any]:
    """All that decides what comes of a run."""
    return {
        "network": spec_hash(elaborate(run.spec)),
        "backend": backend,
        "data": _place(options.data),
        "validation": _place(options.validation) if options.validation is not None else None,
        "holdout": options.holdout,
        "precision": options.precision,
        "exact": options.exact,
        "training": run.recipe.model_dump(mode="json"),
    }


def _place(data: str) -> str:
    """A local path in full: a study may be continued from another folder."""
    return str(Path(data).resolve()) if Path(data).exists() else data


def read_record(run: StudyRun) -> Record | None:
    """The record of a run; None before it was begun.

    Raises:
        NetspecError: it is not one.
    """
    if not run.record.is_file():
        return None
    try:
        found = json.loads(run.record.read_text(encoding="utf-8"))
        finish = Finish(**found["finish"]) if found["finish"] else None
        asked = found["asked"]
        if "training" in asked:
            asked = {**asked, "training": filled_in(asked["training"])}
        return Record(asked, finish, found["failure"])
    except (ValueError, KeyError, TypeError) as error:
        raise NetspecError(f"{run.record}: not the record of a run", f"remove it, and {run.folder.path}") from error


def write_record(run: StudyRun, record: Record) -> None:
    """Keep a record, whole or not at all."""
    write_whole(run.record, json.dumps(asdict(record), indent=2, ensure_ascii=False) + "\n")


def is_finished(run: StudyRun, asked: Mapping[str, Any]) -> bool:
    """Whether a run is done as it is asked for now; one that is there may be begun, or shorter than asked.

    Raises:
        NetspecError: what is there is another run, with all that differs.
    """
    record = read_record(run)
    if record is None:
        if run.folder.path.exists():
            raise NetspecError(f"{run.folder.path}: not a run of this study", "remove it, or give another --out")
        return False
    differ = [each for each in differences(record.asked, asked) if each.path not in {f"training.{n}" for n in LENGTH}]
    differ += _shortened(record.asked["training"], asked["training"]) if run.folder.last.is_file() else []
    if differ:
        told = "\n  ".join(map(_sentence, differ))
        raise NetspecError(
            f"{run.folder.path} is another run than the one asked for:\n  {told}",
            f"remove {run.folder.path} and {run.record.name} to train it anew, or give another --out",
        )
    return record.finish is not None and record.asked == asked


def _sentence(difference: Difference) -> str:
    if difference.path == "network":  # a hash
        return "the network has changed"
    return f"{difference.path}: {difference.before} before, {difference.now} now"


def _shortened(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Difference]:
    """A length that is in another unit, or less: what is there may have gone further."""
    return [
        each
        for each in differences({n: before[n] for n in LENGTH}, {n: now[n] for n in LENGTH}, "training.")
        if ABSENT in (each.before, each.now) or float(each.now) < float(each.before)
    ]


@contextmanager
def held(run: StudyRun) -> Iterator[None]:
    """Keep other processes from the same run, until this one leaves or dies.

    Raises:
        NetspecError: another holds it, or the study's folder cannot be written.
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
