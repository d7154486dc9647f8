"""What a spec file says, before it means anything: scalars, sequences and mappings, each with its place.

Trees are never deeper than `reader.MAX_DEPTH`, aliases expanded, so functions over them may recurse.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from typing import Any, NamedTuple, NoReturn

from netspec.errors import Diagnostic, SpecError, Where

# The way from the root to a value, as a linked list, so that each value of a file costs one pair.
Trail = tuple[Any, "str | int"] | None

MAX_PARTS = 12  # of a path, when it is shown


# A NamedTuple, here and for other small values that a check needs: making the class takes a quarter of the time that a
# frozen dataclass takes, of which a dozen were a tenth of a check.
class Source(NamedTuple):
    """One text that was read.

    Attributes:
        file: its name as diagnostics print it.
        lines: its lines, without their ends.
        order: diagnostics are sorted by it before the line: the user's file, then what it extends.
    """

    file: str
    lines: tuple[str, ...]
    order: int = 0


class Position(NamedTuple):
    """A place in a source. `line` and `column` count from 0."""

    source: Source
    line: int
    column: int
    trail: Trail = None

    @property
    def path(self) -> str:
        """The dotted path to the value that stands here: `layers.conv1.inputs[0]`."""
        parts: list[str] = []
        trail = self.trail
        while trail is not None:
            trail, part = trail
            parts.append(_path_part(part))
        if len(parts) > MAX_PARTS:
            parts = [*parts[: MAX_PARTS // 4], "…", *parts[-MAX_PARTS // 2 :]]
        return "".join(reversed(parts)).removeprefix(".")

    @property
    def where(self) -> Where:
        """The same place for a diagnostic, with its line."""
        lines = self.source.lines
        text = lines[self.line] if self.line < len(lines) else ""
        return Where(self.source.file, self.line + 1, self.column + 1, self.path, text)


def _path_part(part: str | int) -> str:
    if isinstance(part, int):
        return f"[{part}]"
    return f".{part}" if re.fullmatch(r"[\w-]{1,80}", part) else f".{quote(part)}"


class Broken(Enum):
    """The value of a scalar that was already reported: it is not reported again."""

    BROKEN = "broken"


BROKEN = Broken.BROKEN
ScalarValue = str | int | float | bool | None | Broken


class ScalarNode(NamedTuple):
    """One value. `expression` is the text with `${…}` that it was computed from, or empty."""

    value: ScalarValue
    at: Position
    expression: str = ""


class SequenceNode(NamedTuple):
    """A list of values."""

    items: tuple[DocumentNode, ...]
    at: Position


class Entry(NamedTuple):
    """One key of a mapping: where the key stands, and its value."""

    at: Position
    value: DocumentNode

    @property
    def stated_at(self) -> Position:
        """Where what it says begins: its value, or of a mapping its key."""
        return self.at if isinstance(self.value, MappingNode) else self.value.at

    def within(self, *path: str) -> Entry:
        """What stands at a path in it, or the nearest around that which does."""
        entry = self
        for key in path:
            if not isinstance(entry.value, MappingNode) or key not in entry.value.entries:
                break
            entry = entry.value.entries[key]
        return entry


class MappingNode(NamedTuple):
    """Keys, in order, with their values."""

    entries: Mapping[str, Entry]
    at: Position

    def get(self, key: str) -> DocumentNode | None:
        """What stands under a key; None where there is no such key."""
        return self.entries[key].value if key in self.entries else None


DocumentNode = ScalarNode | SequenceNode | MappingNode


def plain(node: DocumentNode) -> Any:
    """The value as Python has it: dict, tuple, or scalar (`BROKEN` where a problem was reported)."""
    if isinstance(node, ScalarNode):
        return node.value
    if isinstance(node, SequenceNode):
        return tuple(plain(item) for item in node.items)
    return {key: plain(entry.value) for key, entry in node.entries.items()}


def scalars_in(node: DocumentNode) -> Iterator[ScalarNode]:
    """All scalars of a value, in the order of the file."""
    pending: list[DocumentNode] = [node]
    while pending:
        match pending.pop():
            case ScalarNode() as scalar:
                yield scalar
            case SequenceNode(items=items):
                pending += reversed(items)
            case MappingNode(entries=entries):
                pending += reversed([entry.value for entry in entries.values()])


def text_of(node: DocumentNode) -> str:
    """A string that stands there; empty for anything else."""
    return node.value if isinstance(node, ScalarNode) and isinstance(node.value, str) else ""


def is_null(node: DocumentNode) -> bool:
    """Whether a value is `null`, or nothing."""
    return isinstance(node, ScalarNode) and node.value is None


def is_broken(node: DocumentNode) -> bool:
    """Whether a problem was already reported somewhere in this value."""
    return any(scalar.value is BROKEN for scalar in scalars_in(node))


MAX_QUOTED = 60
MAX_PROBLEMS = 1000


def quote(text: str) -> str:
    """A string from the spec in quotes, control characters escaped, long ones cut."""
    return repr(text if len(text) <= MAX_QUOTED else f"{text[: MAX_QUOTED - 1]}…")


def describe(node: DocumentNode) -> str:
    """What was received, in words: `'abc' (a string)`, `2.5`, `true`, `a list`."""
    if isinstance(node, SequenceNode):
        return "a list"
    if isinstance(node, MappingNode):
        names = [quote(key) for key in list(node.entries)[:4]]
        return (
            f"a mapping with {', '.join([*names[:3], *(['…'] if names[3:] else [])])}" if names else "an empty mapping"
        )
    words = describe_value(node.value)
    return f"{words} from {quote(node.expression)[1:-1]}" if node.expression else words


def describe_value(value: object) -> str:
    """A scalar in words."""
    match value:
        case None:
            return "nothing (null)"
        case bool():
            return "true" if value else "false"
        case str():
            return f"{quote(value)} (a string)"
        case float() if not math.isfinite(value):
            return str(value).replace("inf", ".inf").replace("nan", ".nan")
        case _:
            return str(value)


Uses = tuple[tuple[str, Position], ...]


class Problems:
    """Everything found wrong with a spec so far. Nothing is raised until all of it has been looked at."""

    def __init__(self) -> None:
        self._found: dict[tuple[Where | None, str], tuple[tuple[int, int, int], Diagnostic]] = {}
        self._places: set[tuple[int, int, int]] = set()
        self._uses: list[tuple[str, Position]] = []

    def __bool__(self) -> bool:
        return bool(self._found)

    def is_known(self, at: Position) -> bool:
        """Whether a problem was recorded exactly here: this value is not reported again."""
        return (at.source.order, at.line, at.column) in self._places

    @contextmanager
    def within(self, instance: str, at: Position) -> Iterator[None]:
        """What is recorded meanwhile arises in an instance of a block, whose use stands here."""
        self._uses.append((instance, at))
        yield
        self._uses.pop()

    @property
    def uses(self) -> Uses:
        """The instances that what is recorded now arises in, outermost first, each with the place of its use."""
        return tuple(self._uses)

    def take(self, others: Problems) -> None:
        """Record all that was found elsewhere."""
        self._found = {**others._found, **self._found}
        self._places |= others._places

    def add(self, at: Position | None, message: str, hint: str = "", uses: Uses | None = None) -> None:
        """Record a problem. The same words at the same place count once.

        Args:
            at: where it is.
            message: what is wrong.
            hint: what to do.
            uses: of blocks that it arises in; those under way when left out.

        Raises:
            SpecError: there are too many to read.
        """
        where = at.where if at else None
        if len(self._found) == MAX_PROBLEMS and (where, message) not in self._found:
            message, hint = f"more than {MAX_PROBLEMS} problems: no more are looked for", ""
            self._found[None, message] = ((sys.maxsize, 0, 0), Diagnostic(None, message))
            raise self.error()
        rank = (at.source.order, at.line, at.column) if at else (-1, 0, 0)
        self._places.add(rank)
        within = reversed(self._uses if uses is None else uses)
        stated = tuple((instance, place.where) for instance, place in within)
        self._found.setdefault((where, message), (rank, Diagnostic(where, message, hint, stated)))

    def fail(self, at: Position | None, message: str, hint: str = "") -> NoReturn:
        """Record a problem after which nothing more can be said, and raise them all."""
        self.add(at, message, hint)
        raise self.error()

    def error(self) -> SpecError:
        """All of them as one error, in the order of the files."""
        ranked = sorted(self._found.values(), key=lambda item: item[0])
        return SpecError(diagnostic for _, diagnostic in ranked)

    def raise_any(self) -> None:
        """Raise them all, if there are any.

        Raises:
            SpecError: something was recorded.
        """
        if self:
            raise self.error()
