"""The training loop, shared by all backends: steps, epochs, checkpoints, and an orderly stop."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from signal import Signals

from netspec.graph import Graph
from netspec.lowering import Batch, StepResult, Trainer
from netspec.training.checkpoint import Position, Run, Sums, save_checkpoint
from netspec.training.data.batches import Batches, StepBatch
from netspec.training.dropout_masks import with_masks
from netspec.training.events import EpochDone, Observers, StepDone
from netspec.training.folder import RunFolder
from netspec.training.schedule import Schedule
from netspec.training.score import Scores
from netspec.training.stop import StopRequested, StopSignals

RECENT = 20  # steps over which the speed is averaged
Evaluate = Callable[[Callable[[int], None]], Scores]
Diverged = Callable[[int, float, tuple[Batch, ...]], Exception]


@dataclass
class Loop:
    """The training loop, from a position to the end of the recipe.

    Attributes:
        graph: the training graph.
        seed: the recipe's seed, from which dropout is drawn.
        trainer: takes the optimizer steps.
        batches: supplies the batches of each step.
        schedule: the learning-rate schedule.
        folder: the folder for checkpoints; None in every process of a distributed run but the leader.
        run: what checkpoints record about the run.
        observers: notified of steps, epochs and notes.
        evaluate: scores the validation set; None without one. It calls its argument with the size of each batch scored.
        diverged: creates the error to raise when a loss is not finite.
        exact: whether dropout masks come from the stream that all backends share.
        keeps_best: whether the error says how good the network is, so that the checkpoint of the lowest one is kept.
        checkpoint_every: optimizer steps between checkpoints, in addition to one after each epoch.
        stop: receives SIGINT, SIGTERM and SIGHUP.
        prepare: sets what lasts for an epoch, before its first step, of this number from 0. It calls its other argument
            as it goes on, with a number of samples.
        threads, workers: the number of threads, or of processes, that read batches.
    """

    graph: Graph
    seed: int
    trainer: Trainer
    batches: Batches
    schedule: Schedule
    folder: RunFolder | None
    run: Run
    observers: Observers
    evaluate: Evaluate | None
    diverged: Diverged
    exact: bool
    checkpoint_every: int
    stop: StopSignals
    prepare: Callable[[int, Callable[[int], None]], None] = lambda _step, _done: None
    threads: int = 2
    workers: int = 0
    keeps_best: bool = True
    _recent: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=RECENT))
    _began: float = 0.0

    def finish(self, position: Position) -> Position:
        """Take all remaining steps and return the final position.

        Raises:
            StopRequested: a signal was received; a checkpoint has been written.
            DivergedError: the loss became NaN or infinite.
            NetspecError: a sample is bad, or the disk cannot be written.
        """
        self._began = time.monotonic() - position.seconds
        total = self.schedule.total_steps
        self.observers.started(total, position.step, self.batches.steps_per_epoch)
        if position.epoch.samples and self._is_boundary(position.step):
            position = self._end_epoch(position)  # the run was stopped during the validation of this epoch
        stream = self.batches.stream(position.step, total, threads=self.threads, workers=self.workers)
        self._reset_speed()
        with closing(stream):
            for step_batch in stream:
                if position.step % self.batches.steps_per_epoch == 0:
                    self.prepare(position.step, self._stopping(position))
                    self._reset_speed()
                position = self._step(position, step_batch)
                if self._is_boundary(position.step):
                    position = self._end_epoch(position)
                elif position.step % self.checkpoint_every == 0:
                    self._save(position)
                self._stop_if_asked(position)
        return position

    def _is_boundary(self, step: int) -> bool:
        return step % self.batches.steps_per_epoch == 0 or step == self.schedule.total_steps

    def _step(self, position: Position, step_batch: StepBatch) -> Position:
        for message in step_batch.bad:
            self.observers.note(f"skipped: {message}")
        rate = self.schedule.rate(position.step, position.plateau)
        sums = position.epoch
        if step_batch.total:  # 0 if every sample of the step was skipped
            batches = step_batch.batches
            if self.exact:
                batches = with_masks(self.graph, batches, self.seed, position.step)
            result = self.trainer.step(batches, rate, step_batch.total, self._key(position.step))
            if not math.isfinite(result.loss):
                raise self.diverged(position.step + 1, result.loss, batches)
            sums = sums.plus(result.loss, result.wrong, step_batch.total)
            self._report_step(position.step + 1, result, rate, step_batch.total)
        return replace(position, step=position.step + 1, epoch=sums, seconds=self._seconds())

    def _key(self, step: int) -> int:
        """The seed of the framework's own dropout in a step. It depends only on the recipe's seed and the step."""
        # The factors, near 2^64/φ and 2^64/1.2207, keep the keys of neighboring seeds and steps far apart.
        return (self.seed * 0x9E3779B97F4A7C15 + step * 0xD1B54A32D192ED03) % 2**63

    def _report_step(self, step: int, result: StepResult, rate: float, samples: int) -> None:
        now = time.monotonic()
        self._recent.append((now, samples))
        elapsed = now - self._recent[0][0]
        trained = sum(count for _, count in self._recent) - self._recent[0][1]
        self.observers.step(
            StepDone(
                step=step,
                epoch=step / self.batches.steps_per_epoch,
                loss=result.loss,
                error=result.wrong / samples,
                rate=rate,
                images_per_second=trained / elapsed if elapsed else 0.0,
                seconds=self._seconds(),
            )
        )

    def _end_epoch(self, position: Position) -> Position:
        """Score the validation set, update the best error and the plateau, notify the observers, save checkpoints."""
        epoch = math.ceil(position.step / self.batches.steps_per_epoch)
        sums = position.epoch
        scores = self._score(position)
        if scores is not None and not math.isfinite(scores.loss):  # because of the epoch's last update
            raise self.diverged(position.step, scores.loss, ())
        samples = max(1, sums.samples)
        error = scores.error if scores else sums.wrong / samples
        best = self.keeps_best and (position.best_error is None or error < position.best_error)
        rate = self.schedule.rate(position.step - 1, position.plateau)
        position = replace(
            position,
            epoch=Sums(),
            plateau=self.schedule.observe(position.plateau, error, position.step),
            best_error=error if best else position.best_error,
            best_epoch=epoch if best else position.best_epoch,
            seconds=self._seconds(),
        )
        # Before the checkpoint: a run that is killed between the two ends the epoch again, and does not lose its line.
        self.observers.epoch(
            EpochDone(
                epoch=epoch,
                step=position.step,
                training_loss=sums.loss / samples,
                training_error=sums.wrong / samples,
                validation_loss=scores.loss if scores else None,
                validation_error=scores.error if scores else None,
                validation_error_top5=scores.error_top5 if scores else None,
                rate=rate,
                seconds=position.seconds,
                best=best,
                validation_mean_iou=scores.mean_iou if scores else None,
            )
        )
        self._save(position, best=best)
        self._reset_speed()
        return position

    def _score(self, position: Position) -> Scores | None:
        return self.evaluate(self._stopping(position)) if self.evaluate is not None else None

    def _stopping(self, position: Position) -> Callable[[int], None]:
        """What is called during work between two steps: it stops the run at this position, if that is asked for."""

        def check(samples: int) -> None:
            del samples
            if self.trainer.processes == 1:  # several processes can only stop together, between two steps
                self._stop_if_asked(position)

        return check

    def _save(self, position: Position, *, best: bool = False) -> None:
        state = self.trainer.export_to_leader()  # a collective call: the state may be sharded over the processes
        if self.folder is None or state is None:
            return
        if best:
            save_checkpoint(self.folder.best, self.graph, state, position, self.run)
        save_checkpoint(self.folder.last, self.graph, state, position, self.run)

    def _stop_if_asked(self, position: Position) -> None:
        """If any process has received a signal, save a checkpoint and raise StopRequested in all of them."""
        if number := self.trainer.largest(self.stop.received or 0):
            self._save(position)
            raise StopRequested(position, Signals(number))

    def _reset_speed(self) -> None:
        """Restart the speed measurement, so that work between two steps does not count."""
        self._recent.clear()
        self._recent.append((time.monotonic(), 0))

    def _seconds(self) -> float:
        return time.monotonic() - self._began
