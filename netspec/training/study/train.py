"""Training the runs of a study: one after another in this process, or several at a time in child processes."""

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
from netspec.progress import Progress
from netspec.training.data.parallel import available_threads
from netspec.training.events import Observer
from netspec.training.options import TrainOptions
from netspec.training.run import train
from netspec.training.stop import StopSignals
from netspec.training.study.record import (
    Finish,
    Record,
    StudyRun,
    held,
    is_finished,
    read_record,
    settings_of,
    write_record,
)

POLL = 0.1  # seconds between two checks of the processes
THREADS = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")  # read by PyTorch and by TensorFlow

Watch = Callable[[StudyRun], AbstractContextManager[tuple[Observer, Progress]]]


@dataclass(frozen=True)
class Ending:
    """How a run ended: finished if it has neither a failure nor a signal.

    Attributes:
        run: the run.
        failure, hint: why it failed, and what to do about it.
        stopped: the signal that stopped it, or that came before it began.
    """

    run: StudyRun
    failure: str = ""
    hint: str = ""
    stopped: Signals | None = None


def train_here(runs: Iterable[StudyRun], backend: Backend, options: TrainOptions, watch: Watch) -> Iterator[Ending]:
    """Train runs one after another. After a failure the next run is trained; after a signal no other is.

    Args:
        runs: the runs that are not finished.
        backend: the backend that trains them.
        options: data, device and the like; name, folder and resumption are overridden for each run.
        watch: returns a context that provides a run's observer, and the function that reports its preparations.
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
    """Begin or resume a run and record its outcome. Returns the signal that stopped it, if one did."""
    asked = settings_of(run, backend.name, options)
    with held(run):
        if is_finished(run, asked):
            return None
        resume = run.folder.last.is_file()
        if not resume and run.folder.path.exists():
            shutil.rmtree(run.folder.path)  # the run was killed before its first checkpoint
        write_record(run, Record(asked))
        try:
            run_options = replace(options, name=run.name, out=run.root, resume=resume)
            outcome = train(run.spec, backend, run_options, observer, progress)
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
    """Train runs in child processes, whose output goes to the runs' logs.

    A signal to this process stops them all, each with a checkpoint.

    Args:
        runs: the runs that are not finished.
        command: returns the command that trains one run. Its exit code is 0, 128 + the number of the signal that
            stopped it, or another code after a failure.
        count: the number of processes at a time, which divide the processors among them.
    """
    waiting, running = deque(runs), list[tuple[StudyRun, subprocess.Popen[bytes]]]()
    terminated = False
    with StopSignals() as stop:
        try:
            while running or (waiting and stop.received is None):
                while waiting and len(running) < count and stop.received is None:
                    run = waiting.popleft()
                    running.append((run, _start(run, command(run), count)))
                if stop.received is not None and not terminated:
                    for _, process in running:
                        process.send_signal(signal.SIGTERM)  # unlike SIGINT, never ignored while a process starts
                    terminated = True
                ended = [each for each in running if each[1].poll() is not None]
                for run, process in ended:
                    running.remove((run, process))
                    yield _ending(run, process.returncode, stop.received)
                time.sleep(POLL)
        finally:
            for _, process in running:  # after a second interrupt, which loses only the work since a checkpoint
                process.kill()
                process.wait()
        for run in waiting:
            yield Ending(run, stopped=stop.received)


def _start(run: StudyRun, command: Sequence[str], count: int) -> subprocess.Popen[bytes]:
    """Start the process of a run in a new process group, so that Ctrl-C reaches it only as this process's SIGTERM."""
    threads = str(max(1, available_threads() // count))
    run.log.parent.mkdir(parents=True, exist_ok=True)
    with run.log.open("ab") as log:
        return subprocess.Popen(  # noqa: S603 # the command is netspec itself
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=dict.fromkeys(THREADS, threads) | os.environ,
            process_group=0,
        )


def _ending(run: StudyRun, code: int, received: Signals | None) -> Ending:
    """How a run ended, by the exit code of its process; `received` is the signal that made this process stop it."""
    if code == 0:
        return Ending(run)
    number = -code if code < 0 else code - SIGNAL
    if number in {signal.SIGINT, signal.SIGTERM}:
        return Ending(run, stopped=received or Signals(number))
    record = read_record(run)
    failure = record.failure if record is not None else ""
    return Ending(run, failure or f"its process ended with exit code {code}", f"{run.log} has its output")
