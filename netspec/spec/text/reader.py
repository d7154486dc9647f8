"""YAML text → document tree: every key and value with its position, no objects constructed, sizes bounded.

PyYAML's C parser yields the events; the tree is built here, without recursion, so that a hostile text meets
a limit and never exhausts the interpreter's stack.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NoReturn

import yaml

from netspec.spec.text.document import (
    BROKEN,
    DocumentNode,
    Entry,
    MappingNode,
    Position,
    Problems,
    ScalarNode,
    ScalarValue,
    SequenceNode,
    Source,
    Trail,
    describe_value,
    quote,
)
from netspec.spec.text.hints import nearest
from netspec.spec.text.scalars import resolve_scalar

MAX_CHARACTERS = 16 * 2**20
MAX_DEPTH = 64
MAX_VALUES = 1_000_000

# Both parse the same grammar. The C parser is several times faster, and part of PyYAML's wheels.
_LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader

# Characters outside of YAML's printable set. Source: YAML 1.2.2, section 5.1.
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def read_document(
    text: str, source: Source, problems: Problems, expected: str = "a mapping with `name`, `input` and `layers`"
) -> DocumentNode:
    """The document tree of a YAML text. `expected` completes the message for an empty text.

    Problems that leave the rest readable (a duplicate key, a tag, a number out of range) are recorded in `problems`.

    Raises:
        SpecError: the text is empty, is not YAML, or is larger or deeper than the limits.
    """
    start = Position(source, 0, 0)
    if len(text) > MAX_CHARACTERS:
        problems.fail(start, f"the file is longer than {MAX_CHARACTERS:,} characters")
    if unprintable := _UNPRINTABLE.search(text):
        up_to_it = f"{text[: unprintable.start()]}^".splitlines()
        at = Position(source, len(up_to_it) - 1, len(up_to_it[-1]) - 1)
        problems.fail(at, f"the character U+{ord(unprintable[0]):04X} cannot stand in YAML", "is this a text file?")
    builder = _Builder(source, problems)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        from netspec.spec.text.syntax import fail_on_syntax  # noqa: PLC0415 # only for the error

        fail_on_syntax(error, source, problems)
    if builder.root is None:
        problems.fail(start, f"the file is empty: expected {expected}")
    return builder.root


@dataclass(slots=True, repr=False, eq=False)
class _Frame:
    """A collection that is being read.

    Attributes:
        entries: entries of a mapping; None for a sequence.
        key: key whose value comes next; None where a key comes next.
        duplicate: whether the value of `key` is to be discarded.
        size: number of values so far, itself included, with aliases expanded.
        height: levels of nesting, itself included, with aliases expanded.
    """

    at: Position
    trail: Trail
    anchor: str | None
    entries: dict[str, Entry] | None
    items: list[DocumentNode] = field(default_factory=list)
    key: str | None = None
    key_at: Position | None = None
    duplicate: bool = False
    tagged: bool = False
    size: int = 1
    height: int = 1

    def expects_key(self) -> bool:
        return self.entries is not None and self.key is None

    def child_trail(self) -> Trail:
        if self.expects_key():
            return self.trail
        return (self.trail, len(self.items) if self.key is None else self.key)


@lru_cache(maxsize=1)  # asked again for each of its keys
def _means_presets(key: str) -> bool:
    return nearest(key, ("presets",)) == "presets"


class _Builder:
    """Builds a tree from parser events, taken one by one. `root` is the finished tree."""

    def __init__(self, source: Source, problems: Problems) -> None:
        self.root: DocumentNode | None = None
        self._source = source
        self._problems = problems
        self._stack: list[_Frame] = []
        self._anchors: dict[str, tuple[DocumentNode, int, int]] = {}  # node, size, height
        self._documents = 0
        self._values = 0

    def take(self, event: yaml.Event) -> None:
        match event:
            case yaml.ScalarEvent():
                self._scalar(event)
            case yaml.MappingStartEvent():
                self._open(event, {})
            case yaml.SequenceStartEvent():
                self._open(event, None)
            case yaml.CollectionEndEvent():
                self._close()
            case yaml.AliasEvent():
                self._alias(event)
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    self._fail(event, "a second document begins here: a spec file holds one", "remove the `---`")

    def _position(self, event: yaml.Event) -> Position:
        mark = event.start_mark
        assert mark is not None  # noqa: S101 # the parser marks every event
        trail = self._stack[-1].child_trail() if self._stack else None
        return Position(self._source, mark.line, mark.column, trail)

    def _fail(self, event: yaml.Event, message: str, hint: str = "") -> NoReturn:
        self._problems.fail(self._position(event), message, hint)

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        if self._stack and self._stack[-1].expects_key():
            self._key(event)
            return
        self._count(event)
        at = self._position(event)
        self._place(ScalarNode(self._value(event, at), at), event.anchor, 1, 1)

    def _value(self, event: yaml.ScalarEvent, at: Position) -> ScalarValue:
        if event.tag is not None:
            self._refuse_tag(event.tag, at)
            return BROKEN
        if not event.implicit[0]:
            return str(event.value)
        try:
            return resolve_scalar(event.value)
        except ValueError as error:
            self._problems.add(at, str(error))
            return BROKEN

    def _refuse_tag(self, tag: str, at: Position) -> None:
        name = tag.replace("tag:yaml.org,2002:", "!!")
        self._problems.add(at, f"tags have no place in a spec, received {quote(name)}", "write the bare value")

    def _key(self, event: yaml.ScalarEvent) -> None:
        frame = self._stack[-1]
        assert frame.entries is not None  # noqa: S101 - expects_key says so
        at = self._position(event)
        value = self._value(event, at)
        if value is BROKEN:
            value = str(event.value)
        elif not isinstance(value, str) and value is not None and self._is_preset():
            value = str(event.value)  # a value of the choosing parameter, such as `18`
        elif not isinstance(value, str):
            hint = "a name begins with a letter"
            if len(self._stack) == 2 and self._stack[0].key == "presets":
                hint = "presets stand under the parameter that chooses one: `presets: {depth: {18: {…}}}`"
            self._problems.add(at, f"expected a name as the key, received {describe_value(value)}", hint)
            value = str(event.value)
        if event.implicit[0] and value[:1].isspace():  # YAML's own spaces are stripped: this is another one
            from netspec.spec.text.syntax import fail_on_space  # noqa: PLC0415 # only for the error

            fail_on_space(value[0], at, self._problems)
        frame.key = value
        frame.key_at = at._replace(trail=frame.child_trail())
        if value == "<<":
            hint = "`defaults:` and `extends:` share attributes between layers and between files"
            self._problems.add(frame.key_at, "the merge key `<<` is not part of YAML 1.2", hint)
            frame.entries[value] = Entry(frame.key_at, ScalarNode(BROKEN, at))
            frame.duplicate = True  # the value is discarded
            return
        frame.duplicate = value in frame.entries
        if frame.duplicate:
            first = frame.entries[value].at
            hint = "give one of the two another name, or remove it"
            self._problems.add(frame.key_at, f"{quote(value)} is already defined in line {first.line + 1}", hint)

    def _is_preset(self) -> bool:
        """Whether the keys being read are the values of a parameter under `presets:`, or a key that is like it."""
        return len(self._stack) == 3 and _means_presets(self._stack[0].key or "")

    def _open(self, event: yaml.CollectionStartEvent, entries: dict[str, Entry] | None) -> None:
        at = self._position(event)
        if self._stack and self._stack[-1].expects_key():
            kind = "a list" if entries is None else "a mapping"
            hint = 'between braces an expression is quoted: "${…}"' if self._follows_dollar(at) else ""
            self._problems.fail(at, f"expected a name as the key, received {kind}", hint)
        if len(self._stack) >= MAX_DEPTH:
            self._problems.fail(at, f"more than {MAX_DEPTH} levels of nesting")
        self._count(event)
        if event.tag is not None:
            self._refuse_tag(event.tag, at)
        self._stack.append(_Frame(at, at.trail, event.anchor, entries, tagged=event.tag is not None))

    def _follows_dollar(self, at: Position) -> bool:
        return self._source.lines[at.line][: at.column].endswith("$")

    def _close(self) -> None:
        frame = self._stack.pop()
        node: DocumentNode
        if frame.tagged:
            node = ScalarNode(BROKEN, frame.at)
        elif frame.entries is None:
            node = SequenceNode(tuple(frame.items), frame.at)
        else:
            node = MappingNode(frame.entries, frame.at)
        self._place(node, frame.anchor, frame.size, frame.height)

    def _alias(self, event: yaml.AliasEvent) -> None:
        if self._stack and self._stack[-1].expects_key():
            self._fail(event, "expected a name as the key, received an alias", "text that begins with * goes in quotes")
        anchor = event.anchor or ""
        if anchor not in self._anchors:
            inside = any(frame.anchor == anchor for frame in self._stack)
            message = "contains itself" if inside else "is not defined before this line"
            hint = "" if inside else f"`&{anchor}` defines it; text that begins with * goes in quotes"
            self._fail(event, f"the alias *{anchor} {message}", hint)
        node, size, height = self._anchors[anchor]
        if len(self._stack) + height > MAX_DEPTH:
            self._fail(event, f"with its aliases expanded, the file has more than {MAX_DEPTH} levels of nesting")
        self._count(event, size)
        self._place(node, None, size, height)

    def _count(self, event: yaml.Event, size: int = 1) -> None:
        self._values += size
        if self._values > MAX_VALUES:
            expanded = "with its aliases expanded, " if self._anchors else ""
            self._fail(event, f"{expanded}the file holds more than {MAX_VALUES:,} values")

    def _place(self, node: DocumentNode, anchor: str | None, size: int, height: int) -> None:
        """Add a finished node to the collection that holds it, or make it the root."""
        if anchor is not None:
            self._anchors[anchor] = (node, size, height)
        if not self._stack:
            self.root = node
            return
        frame = self._stack[-1]
        frame.size += size
        frame.height = max(frame.height, height + 1)
        if frame.entries is None:
            frame.items.append(node)
            return
        if not frame.duplicate and frame.key is not None and frame.key_at is not None:
            frame.entries[frame.key] = Entry(frame.key_at, node)
        frame.key = None
