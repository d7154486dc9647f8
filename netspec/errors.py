"""The exceptions of netspec, and diagnostics: problems of a spec, with their places and hints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Where(NamedTuple):
    """A place in a spec file.

    Attributes:
        file: the file.
        line, column: the position, from 1.
        path: the dotted path of the field, such as `layers.conv1.stride`.
        text: the text of the line.
    """

    file: str
    line: int
    column: int
    path: str = ""
    text: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Diagnostic(NamedTuple):
    """One problem in a spec.

    Attributes:
        where: the place, or None for a problem without one, such as a file that cannot be read.
        message: the problem: what was expected and what was received.
        hint: how to solve it, or empty.
        uses: for a problem inside a block, the instances in which it occurs, innermost first, each with its place.
        also: further places of the same problem in the same file.
    """

    where: Where | None
    message: str
    hint: str = ""
    uses: tuple[tuple[str, Where], ...] = ()
    also: tuple[Where, ...] = ()

    def __str__(self) -> str:
        """`file:line:column: path: message`, the line with a caret, the hint, further places, and each use."""
        if self.where is None:
            lines = [self.message]
        else:
            path = f"{self.where.path}: " if self.where.path else ""
            lines = [f"{self.where}: {path}{self.message}", *_with_caret(self.where)]
        if self.hint:
            lines.append(f"    hint: {self.hint}")
        if self.also:
            places = [f"{at.line}:{at.column}" for at in self.also[:MAX_PLACES]]
            rest = len(self.also) - len(places)
            lines.append(f"    also at {', '.join(places)}{f', and {rest} more' if rest else ''}")
        for instance, where in self.uses:
            lines += [f"    in {instance}, stated in {where}:", *_with_caret(where)]
        return "\n".join(lines)


MAX_PLACES = 8  # places of one problem that are listed
EXCERPT_WIDTH = 100
SIGNAL = 128  # plus the signal's number, this is the exit code that shells report for a process ended by a signal
INTERRUPTED = SIGNAL + 2  # by Ctrl-C


def _with_caret(where: Where) -> list[str]:
    """The line of a place and a caret under its column; empty if the text of the line is not known."""
    if not where.text:
        return []
    line, caret = _excerpt(where.text, where.column)
    return [f"    {line}", f"    {' ' * caret}^"]


def _excerpt(text: str, column: int) -> tuple[str, int]:
    """The part of a line around a column (from 1), and the offset of the column in it."""
    text = "".join(c if c.isprintable() else " " for c in text)
    start = max(0, column - 1 - EXCERPT_WIDTH // 2) if len(text) > EXCERPT_WIDTH else 0
    return text[start : start + EXCERPT_WIDTH].rstrip(), column - 1 - start


class NetspecError(Exception):
    """Base class of the errors that netspec raises for its users; `exit_code` is the exit code of the command.

    Args:
        message: the problem: what was expected and what was received.
        hint: how to solve it, or empty.
    """

    exit_code = 2

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\nhint: {self.hint}" if self.hint else self.message


def require_one_of(what: str, value: object, names: Sequence[str]) -> None:
    """Check that a value is one of some names.

    Raises:
        NetspecError: it is not; `what` says what was expected.
    """
    if value not in names:
        raise NetspecError(f"{what}: expected one of {', '.join(names)}, received {value!r}")


class SpecError(NetspecError):
    """A spec cannot be compiled. `diagnostics` are all its problems, in the order of the file."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("\n".join(str(d) for d in self.diagnostics))

    def __reduce__(self) -> tuple[type[SpecError], tuple[tuple[Diagnostic, ...]]]:
        # By default an exception is unpickled from the message and hint, which a worker process could not return.
        return type(self), (self.diagnostics,)


class ShapeError(NetspecError):
    """An op does not accept its input types. `attribute` names the attribute to change, or is empty."""

    def __init__(self, message: str, hint: str = "", attribute: str = "") -> None:
        super().__init__(message, hint)
        self.attribute = attribute


class GraphError(NetspecError):
    """A graph is not well formed: nodes out of order, a repeated name, or a type that differs from the inferred one."""


class BackendError(NetspecError):
    """A backend is unknown, not installed, or fails to load the code that it emitted."""


class UnsupportedError(BackendError):
    """A backend does not support an op, for the reason that it declares."""


class WeightsError(NetspecError):
    """A weights file is damaged, of an unknown format, or does not fit the network."""


class VerificationError(NetspecError):
    """Two models that should be the same function are not."""

    exit_code = 1
