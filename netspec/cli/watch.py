"""The progress of a run: a line per epoch on stdout, and on a terminal a bar with the last step on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from netspec.cli.console import BOLD, GREEN, print_note, print_out, style, terminal_width
from netspec.cli.interrupts import raise_if_interrupted
from netspec.training.events import EpochDone, Observer, StepDone

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

COLUMNS = {"epoch": 5, "loss": 8, "error": 7, "val loss": 8, "val err": 7, "top-5": 7, "rate": 8, "time": 8}
LEAST = ("top-5", "rate", "val loss", "error", "time")  # left out in this order where a terminal is too narrow


class Watch(Observer):
    """Prints the progress of a run. Created by `watching`, which removes the bar before an error is printed."""

    def __init__(self, bar: Progress | None) -> None:
        self._bar = bar
        self._task: TaskID | None = None
        self._shown: dict[str, int] = {}  # the columns that fit, chosen with the header

    def note(self, text: str) -> None:
        """Print a note on stderr."""
        if self._bar is None:
            print_note(f"note: {text}")
        else:
            self._bar.console.print(f"note: {text}", markup=False, highlight=False)

    def doing(self, text: str) -> None:
        """Show the stage before the first step. Raises KeyboardInterrupt if a library dropped an interrupt."""
        raise_if_interrupted()
        if self._bar is not None:
            if self._task is None:
                self._task = self._bar.add_task(text, total=None)
            self._bar.update(self._task, description=text)

    def started(self, steps: int, done: int, steps_per_epoch: int) -> None:
        """Show the bar."""
        del steps_per_epoch
        self.close()
        if self._bar is not None:
            self._task = self._bar.add_task("", total=steps, completed=done)

    def step(self, event: StepDone) -> None:
        """Move the bar."""
        if self._bar is None or self._task is None:
            return
        figures = (
            f"epoch {event.epoch:.1f}  loss {event.loss:.4f}  error {event.error:.1%}  rate {event.rate:.3g}  "
            f"{event.images_per_second:,.0f} images/s"
        )
        self._bar.update(self._task, completed=event.step, description=figures)

    def evaluating(self, done: int, samples: int) -> None:
        """Show the progress of validation in the bar."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, description=f"validation {done:,} of {samples:,}")

    def epoch(self, event: EpochDone) -> None:
        """Print the line of an epoch, and before the first one the header."""
        if not self._shown:
            self._shown = _fitting(terminal_width())
            print_out(style(_line(self._shown, {name: name for name in COLUMNS}), BOLD))
        cells = {
            "epoch": str(event.epoch),
            "loss": _loss(event.training_loss),
            "error": f"{event.training_error:.2%}",
            "val loss": _loss(event.validation_loss),
            "val err": _percent(event.validation_error),
            "top-5": _percent(event.validation_error_top5),
            "rate": f"{event.rate:.3g}",
            "time": clock(event.seconds),
        }
        print_out(_line(self._shown, cells) + (f" {style('*', GREEN)}" if event.best else ""))

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None and self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None


@contextmanager
def watching() -> Iterator[Watch]:
    """Yield a `Watch`, with a bar if stderr is a terminal."""
    if not sys.stderr.isatty():
        yield Watch(None)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(bar_width=None), TextColumn("{task.description}", markup=False), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, expand=True) as bar:
        yield Watch(bar)


def clock(seconds: float) -> str:
    """Return a duration as h:mm:ss, or m:ss below an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _fitting(width: int | None) -> dict[str, int]:
    """Return the columns that fit into a terminal of this width, with their widths; None for no limit."""
    shown = dict(COLUMNS)
    for name in LEAST:
        if width is None or len(_line(shown, {})) + len(" *") <= width:
            break
        del shown[name]
    return shown


def _line(shown: Mapping[str, int], cells: Mapping[str, str]) -> str:
    return "  ".join(cells.get(name, "").rjust(width) for name, width in shown.items())


def _loss(loss: float | None) -> str:
    """Return a loss with four decimals, or from 1000 on with three digits and an exponent: at most eight characters."""
    if loss is None:
        return ""
    return f"{loss:.4f}" if loss < 1000 else f"{loss:.2e}"


def _percent(share: float | None) -> str:
    return f"{share:.2%}" if share is not None else ""
