"""`netspec study`: trains several networks with one recipe, and compares the results with published ones."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from netspec.cli.console import (
    GREEN,
    native_stderr_held,
    print_error,
    print_json,
    print_note,
    print_out,
    style,
    terminal_width,
)
from netspec.cli.options import FILE, device_option, json_option, precision_option, set_option
from netspec.cli.study_table import note_lines, table_lines
from netspec.cli.watch import watching
from netspec.errors import SIGNAL
from netspec.progress import Progress, silent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from signal import Signals

    from netspec.lowering import Backend
    from netspec.lowering.trainer import Device, Precision
    from netspec.training.events import Observer
    from netspec.training.options import TrainOptions
    from netspec.training.study.model import Study
    from netspec.training.study.record import StudyRun
    from netspec.training.study.train import Ending

FAILED = 1


class Seeds(click.ParamType[tuple[int, ...]]):
    """Numbers separated by commas."""

    name = "seeds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Return the numbers in the text without duplicates."""
        if isinstance(value, tuple):
            return value
        texts = [text.strip() for text in value.split(",")]
        if not all(text.isdecimal() for text in texts):
            self.fail(f"expected numbers separated by commas, received {value!r}", param, ctx)
        return tuple(dict.fromkeys(int(text) for text in texts))


@click.command(
    "study",
    short_help="Train several networks in the same way, and compare them.",
    epilog="""\b
Examples:
  netspec study specs/studies/relu-against-tanh.yaml --data ~/cifar10
  netspec study specs/studies/relu-against-tanh.yaml --data ~/cifar10 --seeds 0 --set training.epochs=5
  netspec study specs/studies/dropout.yaml --data ~/imagenet --processes 2
  netspec study specs/studies/dropout.yaml --data ~/imagenet --only dropout-seed0

\b
What is written to runs/STUDY/:
  table.txt, table.json   the results so far, updated after every run
  MEMBER-seedN/           a run, like those of `netspec train`
  MEMBER-seedN.json       the settings of the run, and how it ended
  MEMBER-seedN.log        the output of its process, with --processes

The same command continues a study that was stopped. It does not repeat finished runs.
""",
)
@click.argument("file", type=FILE, metavar="STUDY")
@click.option("--data", metavar="PATH", help="Data to train on, as for `netspec train`.  [default: the study's]")
@click.option("--validation", metavar="PATH", help="Data to validate on, as for `netspec train`.")
@click.option(
    "--holdout",
    type=click.FloatRange(0, 1, max_open=True),
    metavar="SHARE",
    help="Share of the data to validate on instead, as for `netspec train`.",
)
@click.option("--backend", metavar="NAME", help="torch or keras.  [default: the study's]")
@click.option(
    "--seeds",
    type=Seeds(),
    default=(),
    metavar="N[,N...]",
    help="Seeds to train each member with.  [default: the study's]",
)
@click.option("--out", type=FILE, default=Path("runs"), metavar="DIR", show_default=True, help="Folder of all runs.")
@click.option(
    "--processes", type=click.IntRange(min=1), metavar="N", help="Number of runs at a time, each in its own process."
)
@click.option("--only", multiple=True, metavar="RUN", help="Train only this run, MEMBER-seedN. Repeatable.")
@device_option
@precision_option
@set_option
@json_option
def command(
    file: Path,
    data: str | None,
    validation: str | None,
    holdout: float | None,
    backend: str | None,
    seeds: tuple[int, ...],
    out: Path,
    processes: int | None,
    only: tuple[str, ...],
    device: str,
    precision: str,
    settings: tuple[str, ...],
    as_json: bool,
) -> int:
    """Train every member of a study with every seed, and print a table of the results.

    Errors are those on the validation set after training: the mean and the standard deviation over the seeds, beside
    the published figures. If a run fails, it is named, the other runs continue, and the exit code is 1.
    """
    from netspec.lowering import find_backend
    from netspec.training.data.sources import require_source
    from netspec.training.study.read import read_study

    study = read_study(file, settings, seeds)
    trainer = find_backend(backend or study.backend)
    trainer.require()
    options = _options(study, data, validation, holdout)
    options = replace(options, out=out, device=cast("Device", device), precision=cast("Precision", precision))
    for url in filter(None, (options.data, options.validation)):
        require_source(url)  # one error here instead of one in each run
    session = _Session(study.on(options.data, trainer.name), trainer, options, as_json)
    runs = session.pending(only)
    if processes is None:
        return session.report(session.train(runs), len(runs))
    arguments = [str(file), *_arguments(options, trainer, study), *(f"--set={setting}" for setting in settings)]
    return session.report(session.train_in_processes(runs, arguments, processes), len(runs))


def _options(study: Study, data: str | None, validation: str | None, holdout: float | None) -> TrainOptions:
    """Return the data of the command line, or that of the study. A stated division replaces the study's division."""
    from netspec.training.options import TrainOptions

    if data or validation or holdout is not None:
        return TrainOptions(data or _data_of(study), validation, holdout)
    return TrainOptions(_data_of(study), study.data.validation, study.data.holdout)


def _data_of(study: Study) -> str:
    if study.data.path is None:
        name = f": {study.data.name}" if study.data.name else ""
        raise click.UsageError(f"the study does not say where its data is{name}; give it with --data")
    return study.data.path


def _arguments(options: TrainOptions, backend: Backend, study: Study) -> list[str]:
    """Return the options with which another process trains a run of this study in the same way."""
    values = {
        "data": options.data,
        "validation": options.validation,
        "holdout": options.holdout,
        "backend": backend.name,
        "seeds": ",".join(map(str, study.seeds)),
        "out": options.out,
        "device": options.device,
        "precision": options.precision,
    }
    return [f"--{name}={value}" for name, value in values.items() if value is not None]


class _Session:
    """One call of the command: chooses the runs, trains them and prints the results."""

    def __init__(self, study: Study, backend: Backend, options: TrainOptions, as_json: bool) -> None:
        self._study = study
        self._backend = backend
        self._options = options
        self._as_json = as_json

    def pending(self, only: Sequence[str]) -> list[StudyRun]:
        """Return the runs to train: those named by `only`, or all, without the finished ones."""
        from netspec.spec.text.hints import suggest
        from netspec.training.study.record import is_finished, runs_of, settings_of

        runs = {run.name: run for run in runs_of(self._study, self._options.out)}
        for name in only:
            if name not in runs:
                hint = suggest(name, runs, "it has")
                raise click.UsageError(f"the study has no run {name!r}" + (f"; {hint}" if hint else ""))
        selected = [runs[name] for name in only] if only else list(runs.values())
        return [run for run in selected if not is_finished(run, settings_of(run, self._backend.name, self._options))]

    def train(self, runs: Sequence[StudyRun]) -> Iterator[Ending]:
        """Train the runs one after another in this process."""
        from netspec.training.study.train import train_here

        return train_here(runs, self._backend, self._options, self._watch)

    @contextmanager
    def _watch(self, run: StudyRun) -> Iterator[tuple[Observer, Progress]]:
        from netspec.training.events import Observers

        if self._as_json:
            with native_stderr_held():
                yield Observers(), silent
            return
        print_out(f"{run.name}: {run.spec.name}")
        with native_stderr_held(), watching() as watch:
            yield watch, watch.doing

    def train_in_processes(self, runs: Sequence[StudyRun], arguments: Sequence[str], count: int) -> Iterator[Ending]:
        """Train `count` runs at a time, each in a process that runs this command with `--only`."""
        from netspec.training.study.train import train_in_processes

        def command_of(run: StudyRun) -> list[str]:
            if not self._as_json:
                print_out(f"{run.name}: {run.log}")
            return [sys.executable, "-m", "netspec", "study", *arguments, f"--only={run.name}"]

        return train_in_processes(runs, command_of, count)

    def report(self, endings: Iterable[Ending], runs: int) -> int:
        """Print how each run ended and, after each, the table so far; return the exit code."""
        failed: list[str] = []
        stopped: Signals | None = None
        for number, ending in enumerate(endings, 1):
            if ending.failure:
                failed.append(ending.run.name)
                print_error(f"{ending.run.name}: {ending.failure}", ending.hint)
            stopped = ending.stopped or stopped
            if number < runs and not ending.stopped:
                self._publish(notes=False)
        self._publish(notes=True)
        if stopped is not None:
            print_note(f"stopped by {stopped.name}; the same command continues")
            return SIGNAL + stopped
        if failed:
            print_error(f"{len(failed)} of the runs failed: {', '.join(failed)}", "the same command tries them again")
            return FAILED
        if not self._as_json:
            print_out(f"{style('✓', GREEN)} {self._folder / 'table.txt'}")
        return 0

    @property
    def _folder(self) -> Path:
        return self._options.out / self._study.name

    def _publish(self, *, notes: bool) -> None:
        """Write the results so far to the study's folder, and print them with or without the notes.

        JSON is printed only with the notes, at the end, so that stdout is one JSON document.
        """
        from netspec.files import write_whole
        from netspec.training.study.record import settings_of
        from netspec.training.study.results import as_json, measure

        asked = partial(settings_of, backend=self._backend.name, options=self._options)
        results = measure(self._study, self._options.out, asked)
        outcome = as_json(self._study, results)
        lines = [*table_lines(self._study, results), *note_lines(self._study, results), ""]
        write_whole(self._folder / "table.txt", "\n".join(lines))
        write_whole(self._folder / "table.json", json.dumps(outcome, indent=2, ensure_ascii=False) + "\n")
        if self._as_json:
            if notes:
                print_json(outcome)
            return
        table = table_lines(self._study, results, terminal_width())
        for line in ("", *table, *(note_lines(self._study, results) if notes else ()), ""):
            print_out(line)
