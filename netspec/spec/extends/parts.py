"""`extends` within a spec: a recipe or a preprocessing that several networks share stands in a file of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from itertools import count
from typing import NamedTuple

from netspec.spec.text.document import Entry, MappingNode, Problems
from netspec.spec.text.files import Content, read_bases
from netspec.spec.text.merge import merge_training, overlay


class _Part(NamedTuple):
    """A part of a spec that may extend a file: what such a file holds, and how a part lies over it."""

    content: Content
    merge: Callable[[MappingNode, MappingNode], MappingNode]


_TRAINING = _Part(
    Content("a recipe", "`batch_size` and `optimizer`", "what a spec has under `training:`, at the start of the line"),
    merge_training,
)
_PREPROCESSING = _Part(
    Content(
        "a preprocessing", "`mean` and `std`", "what an input has under `preprocessing:`, at the start of the line"
    ),
    overlay,
)
# What a whole spec has, and none of its parts.
_OF_A_SPEC = ("name", "layers", "input", "inputs")


def inherit_parts(chain: Sequence[MappingNode], problems: Problems) -> list[MappingNode]:
    """The same files, each with what its `training:` and the `preprocessing:` of its inputs take from other files.

    That is done file by file, before one is laid over another: a file says what the files say that its parts extend.

    Raises:
        SpecError: one of those cannot be read, is not a mapping, or extends in a cycle.
    """
    orders = count(len(chain))
    return [_inherit(document, orders, problems) for document in chain]


def _inherit(document: MappingNode, orders: Iterator[int], problems: Problems) -> MappingNode:
    entries = dict(document.entries)
    for key, entry in document.entries.items():
        if key == "training":
            entries[key] = _whole(entry, _TRAINING, orders, problems)
        elif key == "input":
            entries[key] = _whole_input(entry, orders, problems)
        elif key == "inputs" and isinstance(entry.value, MappingNode):
            named = {name: _whole_input(own, orders, problems) for name, own in entry.value.entries.items()}
            entries[key] = Entry(entry.at, MappingNode(named, entry.value.at))
    return MappingNode(entries, document.at)


def _whole_input(entry: Entry, orders: Iterator[int], problems: Problems) -> Entry:
    node = entry.value
    if not isinstance(node, MappingNode) or "preprocessing" not in node.entries:
        return entry
    whole = _whole(node.entries["preprocessing"], _PREPROCESSING, orders, problems)
    return Entry(entry.at, MappingNode({**node.entries, "preprocessing": whole}, node.at))


def _whole(entry: Entry, part: _Part, orders: Iterator[int], problems: Problems) -> Entry:
    """A part with what it takes from the file that it extends, and that from the one which it extends."""
    node = entry.value
    if not isinstance(node, MappingNode) or "extends" not in node.entries:
        return entry
    chain = [node]
    for base in read_bases(node, part.content, orders, problems):
        if any(key in base.entries for key in _OF_A_SPEC):
            extends = chain[-1].entries["extends"].value
            message = f"{base.at.source.file} is a spec, expected {part.content.name}"
            problems.fail(extends.at, message, f"a file of its own: {part.content.hint}")
        chain.append(base)
    merged = reduce(part.merge, (_without_extends(own) for own in reversed(chain)))
    return Entry(entry.at, merged)


def _without_extends(node: MappingNode) -> MappingNode:
    return MappingNode({key: entry for key, entry in node.entries.items() if key != "extends"}, node.at)
