"""The document tree of a spec file (scalars, sequences and mappings, with positions), and the problems found in it.

A tree is at most `reader.MAX_DEPTH` levels deep, with aliases expanded, so functions over it may recurse.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from typing import Any, NamedTuple, NoReturn

from netspec.errors import Diagnostic, SpecError, Where
from netspec.spec.text.scalars import scalar_text

# The path from the root to a value as a linked list, so that each value of a file costs one pair.
Trail = tuple[Any, "str | int"] | None

MAX_PARTS = 12  # components of a path that are shown; longer paths are elided in the middle


# The small classes of the front end are NamedTuples because a frozen dataclass takes four times as long to define: a
# dozen of them took a tenth of the time of `netspec check`.
class Source(NamedTuple):
    """A text that was read.

    Attributes:
        file: file name as diagnostics print it.
        lines: lines of the text, without line ends.
        order: rank of the text among all that were read. Diagnostics are sorted by it, then by line: `--set`
            (negative), the user's file (0), the files it extends.
    """

    file: str
    lines: tuple[str, ...]
    order: int = 0


Rank = tuple[int, int, int]


class Position(NamedTuple):
    """A position in a source. `line` and `column` count from 0; `trail` is the path of the value at this position."""

    source: Source
    line: int
    column: int
    trail: Trail = None

    @property
    def path(self) -> str:
        """The dotted path of the value at this position: `layers.conv1.inputs[0]`."""
        parts: list[str] = []
        trail = self.trail
        while trail is not None:
            trail, part = trail
            parts.append(_path_part(part))
        if len(parts) > MAX_PARTS:
            parts = [*parts[: MAX_PARTS // 4], "…", *parts[-MAX_PARTS // 2 :]]
        return "".join(reversed(parts)).removeprefix(".")

    @property
    def rank(self) -> Rank:
        """The sort key of this position: source, line, column."""
        return (self.source.order, self.line, self.column)

    @property
    def where(self) -> Where:
        """This position as a diagnostic reports it, with the text of its line."""
        lines = self.source.lines
        text = lines[self.line] if self.line < len(lines) else ""
        return Where(self.source.file, self.line + 1, self.column + 1, self.path, text)


def _path_part(part: str | int) -> str:
    if isinstance(part, int):
        return f"[{part}]"
    return f".{part}" if re.fullmatch(r"[\w-]{1,80}", part) else f".{quote(part)}"


class Broken(Enum):
    """Stands in for a value that was already reported as wrong, so that it is not reported again."""

    BROKEN = "broken"


BROKEN = Broken.BROKEN
ScalarValue = str | int | float | bool | None | Broken


class ScalarNode(NamedTuple):
    """A scalar. `expression` is the text with `${…}` that its value was computed from, or empty."""

    value: ScalarValue
    at: Position
    expression: str = ""


class SequenceNode(NamedTuple):
    """A sequence of nodes."""

    items: tuple[DocumentNode, ...]
    at: Position


class Entry(NamedTuple):
    """The position of a key in a mapping, and its value."""

    at: Position
    value: DocumentNode

    @property
    def stated_at(self) -> Position:
        """Where to report a problem with the value: at the value, or at the key if the value is a mapping."""
        return self.at if isinstance(self.value, MappingNode) else self.value.at

    def within(self, *path: str) -> Entry:
        """The entry at a path below this one, or the deepest entry on that path that exists."""
        entry = self
        for key in path:
            if not isinstance(entry.value, MappingNode) or key not in entry.value.entries:
                break
            entry = entry.value.entries[key]
        return entry


class MappingNode(NamedTuple):
    """A mapping; its keys keep the order of the file."""

    entries: Mapping[str, Entry]
    at: Position

    def get(self, key: str) -> DocumentNode | None:
        """The value of a key, or None if there is no such key."""
        return self.entries[key].value if key in self.entries else None


DocumentNode = ScalarNode | SequenceNode | MappingNode


def plain(node: DocumentNode) -> Any:
    """The node as a Python value: a dict, a tuple or a scalar (`BROKEN` where a problem was reported)."""
    if isinstance(node, ScalarNode):
        return node.value
    if isinstance(node, SequenceNode):
        return tuple(plain(item) for item in node.items)
    return {key: plain(entry.value) for key, entry in node.entries.items()}


def scalars_in(node: DocumentNode) -> Iterator[ScalarNode]:
    """All scalars below a node, in the order of the file."""
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
    """The value of a string node; empty for any other node."""
    return node.value if isinstance(node, ScalarNode) and isinstance(node.value, str) else ""


def is_null(node: DocumentNode) -> bool:
    """Whether a node is `null` or an empty value."""
    return isinstance(node, ScalarNode) and node.value is None


def is_broken(node: DocumentNode) -> bool:
    """Whether a problem was already reported anywhere below this node."""
    return any(scalar.value is BROKEN for scalar in scalars_in(node))


MAX_QUOTED = 60  # characters
MAX_PROBLEMS = 1000


def quote(text: str) -> str:
    """A string from the spec in quotes, with control characters escaped, cut to `MAX_QUOTED` characters."""
    return repr(text if len(text) <= MAX_QUOTED else f"{text[: MAX_QUOTED - 1]}…")


def describe(node: DocumentNode) -> str:
    """A node in words, as messages say what was received: `'abc' (a string)`, `2.5`, `true`, `a list`."""
    if isinstance(node, SequenceNode):
        return "a list"
    if isinstance(node, MappingNode):
        if not node.entries:
            return "an empty mapping"
        keys = [quote(key) for key in list(node.entries)[:3]]
        return f"a mapping with {', '.join(keys if len(node.entries) <= 3 else [*keys, '…'])}"
    words = describe_value(node.value)
    return f"{words} from {quote(node.expression)[1:-1]}" if node.expression else words


def describe_value(value: object) -> str:
    """A scalar in words."""
    if value is None:
        return "nothing (null)"
    return f"{quote(value)} (a string)" if isinstance(value, str) else scalar_text(value)


# Instances of blocks, outermost first: the path of each, and the position of the layer that uses the block.
Uses = tuple[tuple[str, Position], ...]


class Problems:
    """Collects the problems of a spec, so that one error reports them all."""

    def __init__(self) -> None:
        self._ranked: dict[tuple[Where | None, str], tuple[Rank, Diagnostic]] = {}  # by position and message
        self._reported: set[Rank] = set()
        self._uses: list[tuple[str, Position]] = []

    def __len__(self) -> int:
        return len(self._ranked)

    def is_known(self, at: Position) -> bool:
        """Whether a problem was recorded at exactly this position, so that none has to be recorded again."""
        return at.rank in self._reported

    @contextmanager
    def within(self, instance: str, at: Position) -> Iterator[None]:
        """Attribute problems recorded in the `with` body to an instance of a block, used by the layer at `at`."""
        self._uses.append((instance, at))
        try:
            yield
        finally:
            self._uses.pop()

    @property
    def uses(self) -> Uses:
        """The instances of blocks that are being read, outermost first, each with the position of its use."""
        return tuple(self._uses)

    def take(self, others: Problems) -> None:
        """Record all problems of another collection."""
        self._ranked = {**others._ranked, **self._ranked}
        self._reported |= others._reported

    def add(self, at: Position | None, message: str, hint: str = "", uses: Uses | None = None) -> None:
        """Record a problem. The same message at the same position is recorded once.

        Args:
            at: position of the problem.
            message: what is wrong.
            hint: what to do about it.
            uses: instances of blocks in which the problem arises. Defaults to those that are being read.

        Raises:
            SpecError: there are more than `MAX_PROBLEMS`.
        """
        where = at.where if at else None
        if len(self._ranked) == MAX_PROBLEMS and (where, message) not in self._ranked:
            message = f"more than {MAX_PROBLEMS} problems: no more are looked for"
            self._ranked[None, message] = ((sys.maxsize, 0, 0), Diagnostic(None, message))
            raise self.error()
        rank = at.rank if at else (-1, 0, 0)
        self._reported.add(rank)
        innermost_first = reversed(self._uses if uses is None else uses)
        used_at = tuple((instance, position.where) for instance, position in innermost_first)
        self._ranked.setdefault((where, message), (rank, Diagnostic(where, message, hint, used_at)))

    def fail(self, at: Position | None, message: str, hint: str = "") -> NoReturn:
        """Record a problem that ends the reading of the spec, and raise all problems.

        Raises:
            SpecError: always.
        """
        self.add(at, message, hint)
        raise self.error()

    def error(self) -> SpecError:
        """All problems as one error, in the order of the files. The same problem at several places of a file is one."""
        alike: dict[tuple[str, Diagnostic], list[Diagnostic]] = {}
        for _, diagnostic in sorted(self._ranked.values(), key=lambda item: item[0]):
            file = diagnostic.where.file if diagnostic.where else ""
            alike.setdefault((file, diagnostic._replace(where=None)), []).append(diagnostic)
        return SpecError(
            first._replace(also=tuple(other.where for other in others if other.where is not None))
            for first, *others in alike.values()
        )

    def raise_any(self) -> None:
        """Raise all problems, if there are any.

        Raises:
            SpecError: a problem was recorded.
        """
        if self:
            raise self.error()
