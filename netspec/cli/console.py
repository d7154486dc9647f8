"""Results on stdout, everything else on stderr; color and progress on a terminal only."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from netspec.cli.interrupts import raise_lost
from netspec.errors import NetspecError

if TYPE_CHECKING:
    from netspec.cli.table import Cell, Column

BOLD, RED, GREEN = "1", "31", "32"


def print_out(text: str = "") -> None:
    """A line of results. Once the reader has closed the pipe, the rest is dropped: that is not an error."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        discard_output()


def print_note(text: str) -> None:
    """A line on stderr that is neither a result nor an error."""
    _tell(text)


def print_error(message: str, hint: str = "") -> None:
    """An error on stderr, with its hint on a line of its own."""
    lines = [f"{style('error:', RED, sys.stderr)} {message}"]
    if hint:
        lines.append(f"{style('hint:', BOLD, sys.stderr)} {hint}")
    _tell("\n".join(lines))


def _tell(text: str) -> None:
    """A text on stderr; where that takes nothing, on a full disk or in a pipe without a reader, the exit code tells."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        discard_output(sys.stderr)


def print_json(value: Any) -> None:
    """A value as JSON, indented; floats that JSON has no word for must be None already."""
    import json

    print_out(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def print_table(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell]], failed: Callable[[int], bool] = lambda _: False
) -> None:
    """A table, as wide as it is in a pipe, within the width of a terminal. Rows that `failed` are red."""
    from netspec.cli.table import render_table

    header, *lines = render_table(columns, rows, terminal_width())
    print_out(style(header[0], BOLD))
    for index, group in enumerate(lines):
        for line in group:
            print_out(style(line, RED) if failed(index) else line)


def terminal_width() -> int | None:
    """Columns of the terminal that stdout is; None when it is none."""
    if not sys.stdout.isatty():
        return None
    import shutil

    return shutil.get_terminal_size().columns


def style(text: str, code: str, stream: TextIO | None = None) -> str:
    """The text in an ANSI style, on a terminal that wants it: NO_COLOR (no-color.org) and TERM=dumb do not."""
    stream = stream or sys.stdout
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not stream.isatty()
    return text if plain or not text else f"\x1b[{code}m{text}\x1b[0m"


def discard_output(stream: TextIO | None = None) -> None:
    """Send what is still to come on a stream, stdout if none is given, nowhere: its reader has gone."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), (stream or sys.stdout).fileno())


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """Gives a function to say what is being done, shown on stderr with the time; silent where that is no terminal.

    What frameworks say on their own account meanwhile is kept back.
    """
    with hushed():
        if sys.stderr.isatty():
            with _spinner() as say:
                yield _interruptible(say)
        else:
            yield _interruptible(lambda _: None)


def _interruptible(say: Callable[[str], None]) -> Callable[[str], None]:
    """`say`, which first raises an interrupt that a library swallowed in the stage before."""

    def interruptible(text: str) -> None:
        raise_lost()
        say(text)

    return interruptible


@contextmanager
def hushed() -> Iterator[None]:
    """Keep back what libraries in C++ write to descriptor 2: TensorFlow's greetings go past Python and its settings.

    `sys.stderr` still reaches the user. After an unexpected exception what was kept back is printed; NETSPEC_DEBUG=1
    keeps nothing back.
    """
    if os.environ.get("NETSPEC_DEBUG") == "1" or not _is_descriptor_2(sys.stderr):
        yield
        return
    import tempfile

    original = sys.stderr
    original.flush()
    # Never closed: loggers that frameworks make meanwhile hold it until the process ends.
    shown = os.fdopen(os.dup(2), "w", buffering=1, encoding=original.encoding, errors="replace")
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        sys.stderr = shown
        try:
            yield
        except (NetspecError, KeyboardInterrupt):
            raise
        except BaseException:
            kept.seek(0)
            shown.write(kept.read().decode(errors="replace"))
            raise
        finally:
            sys.stderr = original
            shown.flush()
            os.dup2(shown.fileno(), 2)


def _is_descriptor_2(stream: TextIO) -> bool:
    """Whether a stream is the process's own stderr, and not what a test or an embedding program put in its place."""
    return stream is sys.__stderr__


@contextmanager
def _spinner() -> Iterator[Callable[[str], None]]:
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("")
        yield lambda text: shown.update(task, description=text)
