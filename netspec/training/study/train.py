"""The runs of a study, one after another in this process, or several at once in processes of their own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from signal import Signals

from netspec.errors import SIGNAL, NetspecError
from netspec.lowering import Backend
from netspec.training.data.parallel import available_threads
from netspec.training.events import Observer
from netspec.training.options import TrainOptions
from netspec.training.run import train
from netspec.training.stop import StopSignals
from netspec.training.study.record import (
    Finish,
    Record,
    StudyRun,
    asked_of,
    held,
    is_finished,
    read_record,
    write_record,
)

POLL = 0.1  # seconds between two looks at the processes
THREADS = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")  # of PyTorch, and of TensorFlow

Progress = Callable[[str], None]
Watch = Callable[[StudyRun], AbstractContextManager[tuple[Observer, Progress]]]


@dataclass(frozen=True)
class Ending:
    """A run that is over for now: finished, where nothing else is said.

    Attributes:
        failure, hint: why it went no further, and what to do.
        stopped: the signal that ended it, or that came before it was begun.
    """

    run: StudyRun
    failure: str = ""
    hint: str = ""
    stopped: Signals | None = None


def train_here(runs: Iterable[StudyRun], backend: Backend, options: TrainOptions, watch: Watch) -> Iterator[Ending]:
    """Train runs one after another. One that fails does not keep the next from its turn; a signal ends them all.

    Args:
        runs: those that are not finished.
        backend: what trains them.
        options: data, device; name, folder and resumption are the study's to say.
        watch: gives a run's observer, and what is called with what is done before its first step.
    """
    for run in runs:
        try:
            with watch(run) as (observer, progress):
                stopped = _train(run, backend, options, observer, progress)
        except NetspecError as error:
            yield Ending(run, error.message, error.hint)
            continue
        yield Ending(run, stopped=stopped)
        if stopped is not None:
            return


def _train(
    run: StudyRun, backend: Backend, options: TrainOptions, observer: Observer, progress: Progress
) -> Signals | None:
    """Begin or continue a run, and keep what came of it; the signal that stopped it, if one did."""
    asked = asked_of(run, backend.name, options)
    with held(run):
        if is_finished(run, asked):
            return None
        resume = run.folder.last.is_file()
        if not resume and run.folder.path.exists():
            shutil.rmtree(run.folder.path)  # it was killed before its first checkpoint
        write_record(run, Record(asked))
        try:
            own = replace(options, name=run.name, out=run.root, resume=resume)
            outcome = train(run.spec, backend, own, observer, progress)
        except NetspecError as error:
            write_record(run, Record(asked, failure=error.message))
            raise
        if outcome.stopped is None:
            scores, position = outcome.scores, outcome.position
            errors = (scores.error, scores.error_top5) if scores is not None else (None, None)
            write_record(run, Record(asked, Finish(position.step, position.seconds, *errors)))
        return outcome.stopped


def train_in_processes(
    runs: Iterable[StudyRun], command: Callable[[StudyRun], Sequence[str]], count: int
) -> Iterator[Ending]:
    """Train runs in processes, so many at a time; what they say goes to their logs.

    A signal to this process stops them all, each with a checkpoint.

    Args:
        runs: those that are not finished.
        command: what trains one run in this way: it ends with 0, with 128 + a signal that stopped it, or in failure.
        count: how many at a time. They share the processors.
    """
    waiting, running = deque(runs), list[tuple[StudyRun, subprocess.Popen[bytes]]]()
    told = False
    with StopSignals() as stop:
        try:
            while running or (waiting and stop.received is None):
                while waiting and len(running) < count and stop.received is None:
                    run = waiting.popleft()
                    running.append((run, _start(run, command(run), count)))
                if stop.received is not None and not told:
                    for _, process in running:
                        process.send_signal(signal.SIGTERM)  # heeded from the first instant, other than SIGINT
                    told = True
                over = [each for each in running if each[1].poll() is not None]
                for run, process in over:
                    running.remove((run, process))
                    yield _ending(run, process.returncode)
                time.sleep(POLL)
        finally:
            for _, process in running:  # an interrupt after the first: only the work since a checkpoint is lost
                process.kill()
                process.wait()
        for run in waiting:
            yield Ending(run, stopped=stop.received)


def _start(run: StudyRun, command: Sequence[str], count: int) -> subprocess.Popen[bytes]:
    """In a process group of its own: the terminal's Ctrl-C comes to this process alone, which passes it on once."""
    threads = str(max(1, available_threads() // count))
    run.log.parent.mkdir(parents=True, exist_ok=True)
    with run.log.open("ab") as log:
        return subprocess.Popen(  # noqa: S603 # netspec itself
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=dict.fromkeys(THREADS, threads) | os.environ,
            process_group=0,
        )


def _ending(run: StudyRun, code: int) -> Ending:
    if code == 0:
        return Ending(run)
    number = -code if code < 0 else code - SIGNAL
    if number in {signal.SIGINT, signal.SIGTERM}:
        return Ending(run, stopped=Signals(number))
    record = read_record(run)
    said = record.failure if record is not None else ""
    return Ending(run, said or f"its process ended with exit code {code}", f"{run.log} has what it said")
