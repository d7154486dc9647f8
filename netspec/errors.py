"""The exception tree, and the diagnostic: one problem, where it is, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Where(NamedTuple):
    """A place in a spec file. `line` and `column` count from 1; `text` is that line; `path` is dotted."""

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
        where: the place, or None when the problem has none (a file that cannot be read).
        message: what is wrong, what was expected and what was received.
        hint: what to do about it, or empty.
        uses: for a problem in a block, the instances in which it arises, innermost first, and where each is stated.
    """

    where: Where | None
    message: str
    hint: str = ""
    uses: tuple[tuple[str, Where], ...] = ()

    def __str__(self) -> str:
        """`file:line:col: path: message`, the line with a caret under the column, the hint, the line of each use."""
        if self.where is None:
            lines = [self.message]
        else:
            path = f"{self.where.path}: " if self.where.path else ""
            lines = [f"{self.where}: {path}{self.message}", *_shown(self.where)]
        if self.hint:
            lines.append(f"    hint: {self.hint}")
        for instance, where in self.uses:
            lines += [f"    in {instance}, stated in {where}:", *_shown(where)]
        return "\n".join(lines)


EXCERPT_WIDTH = 100
SIGNAL = 128  # shells report a process that a signal ended with this exit code, plus the signal's number


def _shown(where: Where) -> list[str]:
    """The line of a place, with a caret under it; nothing where there is no line."""
    if not where.text:
        return []
    line, caret = _excerpt(where.text, where.column)
    return [f"    {line}", f"    {' ' * caret}^"]


def _excerpt(text: str, column: int) -> tuple[str, int]:
    """The part of a source line around a column (from 1), with the caret's offset in it."""
    text = "".join(c if c.isprintable() else " " for c in text)
    start = max(0, column - 1 - EXCERPT_WIDTH // 2) if len(text) > EXCERPT_WIDTH else 0
    return text[start : start + EXCERPT_WIDTH].rstrip(), column - 1 - start


class NetspecError(Exception):
    """Root of every error that netspec raises for its user; `exit_code` is the command's.

    Args:
        message: what is wrong, what was expected and what was received.
        hint: what to do about it.
    """

    exit_code = 2

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\nhint: {self.hint}" if self.hint else self.message


class SpecError(NetspecError):
    """A spec that cannot be compiled: all its diagnostics, in the order of the file."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("\n".join(str(d) for d in self.diagnostics))


class ShapeError(NetspecError):
    """An op that cannot take the shapes that arrive. `attribute` names the attribute to change, if one is to blame."""

    def __init__(self, message: str, hint: str = "", attribute: str = "") -> None:
        super().__init__(message, hint)
        self.attribute = attribute


class GraphError(NetspecError):
    """A graph that is not well formed: a reader before its producer, a name twice, a type that does not follow."""


class BackendError(NetspecError):
    """A backend that is unknown, not installed, or fails to load what it emitted."""


class UnsupportedError(BackendError):
    """An op that a backend states it does not support, with its reason."""


class WeightsError(NetspecError):
    """A weights file that is damaged, foreign, or does not fit the network."""


class VerificationError(NetspecError):
    """Two things that should be one function are not."""

    exit_code = 1
