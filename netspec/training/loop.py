"""The training loop, the same for every backend: steps, epochs, checkpoints, and an orderly end."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace

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

RECENT = 20  # steps over which the speed is taken
Evaluate = Callable[[Callable[[int], None]], Scores]
Diverged = Callable[[int, float, tuple[Batch, ...]], Exception]


@dataclass
class Loop:
    """A run from a position to its end.

    Attributes:
        graph: the training graph.
        seed: of batches, augmentation and masks.
        trainer: takes the steps.
        batches: of each step.
        schedule: of the learning rate.
        folder: where checkpoints go; None in every process but the first of those that train together.
        run: what the checkpoints say of the run.
        observers: are notified of steps, epochs and notes.
        evaluate: scores the validation set; None without one. It calls its argument with each number of samples done.
        diverged: the error for a loss that is not finite.
        exact: whether dropout masks are the shared ones.
        checkpoint_every: optimizer steps between checkpoints, besides one an epoch.
        stop: signals from outside.
        threads, workers: how many read batches.
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
    threads: int = 2
    workers: int = 0
    _recent: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=RECENT))
    _began: float = 0.0

    def finish(self, position: Position) -> Position:
        """Take every step that is left.

        Raises:
            StopRequested: a signal came; a checkpoint has been written.
            DivergedError: the loss became NaN or infinite.
            NetspecError: a sample or the disk failed.
        """
        self._began = time.monotonic() - position.seconds
        total = self.schedule.total_steps
        self.observers.started(total, position.step, self.batches.steps_per_epoch)
        if position.epoch.samples and self._is_boundary(position.step):
            position = self._end_epoch(position)  # it was stopped in the validation of that epoch
        stream = self.batches.stream(position.step, total, threads=self.threads, workers=self.workers)
        self._time_from_now()
        with closing(stream):
            for piece in stream:
                position = self._step(position, piece)
                if self._is_boundary(position.step):
                    position = self._end_epoch(position)
                elif position.step % self.checkpoint_every == 0:
                    self._save(position)
                self._stop_if_asked(position)
        return position

    def _is_boundary(self, step: int) -> bool:
        return step % self.batches.steps_per_epoch == 0 or step == self.schedule.total_steps

    def _step(self, position: Position, piece: StepBatch) -> Position:
        for message in piece.bad:
            self.observers.note(f"skipped: {message}")
        rate = self.schedule.rate(position.step, position.plateau)
        sums = position.epoch
        if piece.total:  # else every sample of it was skipped
            batches = piece.batches
            if self.exact:
                batches = with_masks(self.graph, batches, self.seed, position.step)
            result = self.trainer.step(batches, rate, piece.total, self._key(position.step))
            if not math.isfinite(result.loss):
                raise self.diverged(position.step + 1, result.loss, batches)
            sums = sums.plus(result.loss, result.wrong, piece.total)
            self._report_step(position.step + 1, result, rate, piece.total)
        return replace(position, step=position.step + 1, epoch=sums, seconds=self._seconds())

    def _key(self, step: int) -> int:
        """What the framework's own dropout is drawn from: of the seed and the step alone."""
        # Near 2^64/φ and 2^64/1.2207: the keys of neighboring seeds and steps lie far apart.
        return (self.seed * 0x9E3779B97F4A7C15 + step * 0xD1B54A32D192ED03) % 2**63

    def _report_step(self, step: int, result: StepResult, rate: float, samples: int) -> None:
        now = time.monotonic()
        self._recent.append((now, samples))
        elapsed = now - self._recent[0][0]
        counted = sum(count for _, count in self._recent) - self._recent[0][1]
        self.observers.step(
            StepDone(
                step=step,
                epoch=step / self.batches.steps_per_epoch,
                loss=result.loss,
                error=result.wrong / samples,
                rate=rate,
                images_per_second=counted / elapsed if elapsed else 0.0,
                seconds=self._seconds(),
            )
        )

    def _end_epoch(self, position: Position) -> Position:
        """Score, remember the best, let the schedule look, write checkpoints, tell."""
        epoch = math.ceil(position.step / self.batches.steps_per_epoch)
        sums = position.epoch
        scores = self._score(position)
        if scores is not None and not math.isfinite(scores.loss):  # the last update made weights that are not
            raise self.diverged(position.step, scores.loss, ())
        samples = max(1, sums.samples)
        error = scores.error if scores else sums.wrong / samples
        best = position.best_error is None or error < position.best_error
        rate = self.schedule.rate(position.step - 1, position.plateau)
        position = replace(
            position,
            epoch=Sums(),
            plateau=self.schedule.observe(position.plateau, error, position.step),
            best_error=error if best else position.best_error,
            best_epoch=epoch if best else position.best_epoch,
            seconds=self._seconds(),
        )
        self._save(position, best=best)
        self._time_from_now()
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
        return position

    def _score(self, position: Position) -> Scores | None:
        if self.evaluate is None:
            return None

        def seen(samples: int) -> None:
            del samples
            if self.trainer.processes == 1:  # several processes have to leave together, between two steps
                self._stop_if_asked(position)

        return self.evaluate(seen)

    def _save(self, position: Position, *, best: bool = False) -> None:
        state = self.trainer.export_to_leader()  # by all processes: it may lie on all of them
        if self.folder is None or state is None:
            return
        if best:
            save_checkpoint(self.folder.best, self.graph, state, position, self.run)
        save_checkpoint(self.folder.last, self.graph, state, position, self.run)

    def _stop_if_asked(self, position: Position) -> None:
        """Write a checkpoint and leave, in all processes, when one of them has received a signal."""
        if self.trainer.any(self.stop.received is not None):
            self._save(position)
            raise StopRequested(position)

    def _time_from_now(self) -> None:
        """Leave what was done between steps out of the speed."""
        self._recent.clear()
        self._recent.append((time.monotonic(), 0))

    def _seconds(self) -> float:
        return time.monotonic() - self._began
