"""What a run tells while it goes on, and who listens: a progress bar, a metrics file, TensorBoard."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StepDone:
    """After an optimizer step.

    Attributes:
        step: steps taken, this one included.
        epoch: of the data, with its fraction.
        loss, error: the mean loss over the step's samples, and the share of them, or of their pixels, whose best class
            was wrong.
        rate: the learning rate of the step.
        images_per_second: samples trained on, lately. Units: 1 / s.
        seconds: since the run began, over all sessions.
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
    """After an epoch and its validation. Errors are shares; None where there is no validation set.

    Attributes:
        epoch: counted from 1.
        step: optimizer steps taken.
        best: whether no epoch before had a lower error.
        validation_mean_iou: of segmentation networks, whose errors are of pixels.
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
    """Listens to a run. What inherits it does nothing at events that it does not mention."""

    def note(self, text: str) -> None:
        """A fact that a reader of the log has to know."""

    def started(self, steps: int, done: int, steps_per_epoch: int) -> None:
        """The first step is about to be taken, of so many, with so many done before."""

    def step(self, event: StepDone) -> None:
        """An optimizer step was taken."""

    def evaluating(self, done: int, samples: int) -> None:
        """So many of the validation samples have been scored."""

    def epoch(self, event: EpochDone) -> None:
        """An epoch is over."""

    def close(self) -> None:
        """The run is over, or has failed."""


class Observers(Observer):
    """Several listeners as one."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def note(self, text: str) -> None:
        """To all."""
        for observer in self._observers:
            observer.note(text)

    def started(self, steps: int, done: int, steps_per_epoch: int) -> None:
        """To all."""
        for observer in self._observers:
            observer.started(steps, done, steps_per_epoch)

    def step(self, event: StepDone) -> None:
        """To all."""
        for observer in self._observers:
            observer.step(event)

    def evaluating(self, done: int, samples: int) -> None:
        """To all."""
        for observer in self._observers:
            observer.evaluating(done, samples)

    def epoch(self, event: EpochDone) -> None:
        """To all."""
        for observer in self._observers:
            observer.epoch(event)

    def close(self) -> None:
        """To all."""
        with ExitStack() as stack:  # where one fails, the others are closed all the same
            for observer in self._observers:
                stack.callback(observer.close)
