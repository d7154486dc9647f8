"""The events of a training run, and the interface of its observers: progress bar, metrics file, TensorBoard."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StepDone:
    """The event after an optimizer step.

    Attributes:
        step: the number of steps taken, including this one.
        epoch: the number of epochs taken, as a fraction.
        loss: the mean loss over the step's samples.
        error: the share of the samples, or in segmentation of their pixels, that were classified wrongly. Of a
            generator, the share of real and generated samples that its discriminator took for the other kind.
        rate: the learning rate of the step.
        images_per_second: the recent training speed. Units: samples per second.
        seconds: time spent training, over all sessions.
    """

    step: int
    epoch: float
    loss: float
    error: float
    rate: float
    images_per_second: float
    seconds: float


@dataclass(frozen=True, slots=True)
class EpochDone:
    """The event after an epoch and its validation. Errors are shares of 1. Fields are None without a validation set.

    Attributes:
        epoch: the number of the epoch, counted from 1.
        step: the number of optimizer steps taken.
        rate: the learning rate of the epoch's last step.
        seconds: time spent training, over all sessions.
        best: whether the error is lower than in all epochs before.
        validation_mean_iou: the mean intersection over union, of segmentation networks only.
    """

    epoch: int
    step: int
    training_loss: float
    training_error: float
    validation_loss: float | None
    validation_error: float | None
    validation_error_top5: float | None
    rate: float
    seconds: float
    best: bool
    validation_mean_iou: float | None = None


class Observer:
    """The base class of observers of a run. Each method is called at one kind of event, and does nothing by default."""

    def note(self, text: str) -> None:
        """Called with a note for the reader of the log, such as a skipped sample."""

    def started(self, steps: int, done: int, steps_per_epoch: int) -> None:
        """Called before the first step, with the total number of steps and the number taken in earlier sessions."""

    def step(self, event: StepDone) -> None:
        """Called after an optimizer step."""

    def evaluating(self, done: int, samples: int) -> None:
        """Called during validation, when `done` of this process's `samples` have been scored."""

    def epoch(self, event: EpochDone) -> None:
        """Called after an epoch and its validation."""

    def close(self) -> None:
        """Called once, when the run has ended or failed."""


class Observers(Observer):
    """An observer that passes every event on to several others."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers
        self._noted: set[str] = set()

    def note(self, text: str) -> None:
        """Notify all observers, once of each text: a sample that cannot be read is skipped in every epoch."""
        if text in self._noted:
            return
        self._noted.add(text)
        for observer in self._observers:
            observer.note(text)

    def started(self, steps: int, done: int, steps_per_epoch: int) -> None:
        """Notify all observers."""
        for observer in self._observers:
            observer.started(steps, done, steps_per_epoch)

    def step(self, event: StepDone) -> None:
        """Notify all observers."""
        for observer in self._observers:
            observer.step(event)

    def evaluating(self, done: int, samples: int) -> None:
        """Notify all observers."""
        for observer in self._observers:
            observer.evaluating(done, samples)

    def epoch(self, event: EpochDone) -> None:
        """Notify all observers."""
        for observer in self._observers:
            observer.epoch(event)

    def close(self) -> None:
        """Close all observers, even if one of them fails."""
        with ExitStack() as stack:
            for observer in self._observers:
                stack.callback(observer.close)
