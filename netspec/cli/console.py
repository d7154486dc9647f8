"""Results on stdout, everything else on stderr; color and progress on a terminal only."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from netspec.cli.interrupts import raise_if_interrupted
from netspec.errors import NetspecError
from netspec.progress import Progress, silent

if TYPE_CHECKING:
    from netspec.cli.table import Cell, Column

BOLD, RED, GREEN = "1", "31", "32"


def print_out(text: str = "") -> None:
    """Print a line of results. After the reader has closed the pipe, output is dropped without an error."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        discard_output()
    except OSError as error:  # a full disk
        discard_output()
        raise NetspecError(f"cannot write to standard output: {error.strerror or error}") from error


def print_note(text: str) -> None:
    """Print a line that is neither a result nor an error on stderr."""
    _print_stderr(text)


def print_error(message: str, hint: str = "") -> None:
    """Print an error on stderr, and its hint on the next line."""
    lines = [f"{style('error:', RED, sys.stderr)} {message}"]
    if hint:
        lines.append(f"{style('hint:', BOLD, sys.stderr)} {hint}")
    _print_stderr("\n".join(lines))


def _print_stderr(text: str) -> None:
    """Print on stderr. If that fails (a full disk, a closed pipe), the exit code is all that reports an error."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        discard_output(sys.stderr)


def print_json(value: Any) -> None:
    """Print a value as indented JSON. NaN and infinity, which JSON lacks, become null."""
    import json

    print_out(json.dumps(_finite(value), indent=2, ensure_ascii=False, allow_nan=False))


def _finite(value: Any) -> Any:
    """Return the value with None in place of each float that is NaN or infinite, however deep."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def print_table(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell]], failed: Callable[[int], bool] = lambda _: False
) -> None:
    """Print a table: fitted to the width of a terminal, and at its natural width elsewhere.

    Args:
        columns: the title and alignment of each column.
        rows: a cell for each column.
        failed: whether the row of an index is printed in red.
    """
    from netspec.cli.table import render_table

    header, *lines = render_table(columns, rows, terminal_width())
    for line in header:
        print_out(style(line, BOLD))
    for index, group in enumerate(lines):
        for line in group:
            print_out(style(line, RED) if failed(index) else line)


def terminal_width() -> int | None:
    """Return the columns of the terminal, or None when stdout is not a terminal."""
    if not sys.stdout.isatty():
        return None
    import shutil

    return shutil.get_terminal_size().columns


def style(text: str, code: str, stream: TextIO | None = None) -> str:
    """Return the text in an ANSI style, or as it is: outside of a terminal, with NO_COLOR (no-color.org) or TERM=dumb.

    Args:
        text: the text.
        code: an SGR parameter, such as `GREEN`.
        stream: where the text is going to be printed; None for stdout.
    """
    stream = stream or sys.stdout
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not stream.isatty()
    return text if plain or not text else f"\x1b[{code}m{text}\x1b[0m"


def discard_output(stream: TextIO | None = None) -> None:
    """Redirect a stream (stdout by default) whose reader has gone to the null device."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), (stream or sys.stdout).fileno())


@contextmanager
def progress() -> Iterator[Progress]:
    """Yield a function that shows the current stage and the elapsed time on stderr, if that is a terminal.

    Meanwhile the output of native libraries is held back (`native_stderr_held`).
    """
    with native_stderr_held():
        if sys.stderr.isatty():
            with _spinner() as show:
                yield _interruptible(show)
        else:
            yield _interruptible(silent)


def _interruptible(show: Progress) -> Progress:
    """Return `show`, preceded by a check for an interrupt that a library dropped in the stage before."""

    def show_unless_interrupted(text: str) -> None:
        raise_if_interrupted()
        show(text)

    return show_unless_interrupted


@contextmanager
def native_stderr_held() -> Iterator[None]:
    """Hold back what native libraries write to descriptor 2, such as TensorFlow's start-up messages.

    Those bypass `sys.stderr`, which still reaches the user. After an unexpected exception the held output is printed.
    With NETSPEC_DEBUG=1 nothing is held back.
    """
    if os.environ.get("NETSPEC_DEBUG") == "1" or not _is_descriptor_2(sys.stderr):
        yield
        return
    import tempfile

    original = sys.stderr
    original.flush()
    # Never closed: loggers that frameworks create in this scope keep a reference until the process ends.
    terminal = os.fdopen(os.dup(2), "w", buffering=1, encoding=original.encoding, errors="replace")
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        sys.stderr = terminal
        try:
            yield
        except (NetspecError, KeyboardInterrupt):
            raise
        except BaseException:
            held.seek(0)
            terminal.write(held.read().decode(errors="replace"))
            raise
        finally:
            sys.stderr = original
            terminal.flush()
            os.dup2(terminal.fileno(), 2)


def _is_descriptor_2(stream: TextIO) -> bool:
    """Whether a stream is the stderr of the process, not a replacement by a test or an embedding program."""
    return stream is sys.__stderr__


@contextmanager
def _spinner() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("")
        yield lambda text: bar.update(task, description=text)
