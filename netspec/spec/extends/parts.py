"""`extends` within a spec: a recipe or a preprocessing that several networks share is in a file of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from itertools import count
from typing import NamedTuple

from netspec.spec.text.document import Entry, MappingNode, Problems
from netspec.spec.text.files import Content, read_bases
from netspec.spec.text.merge import merge_training, overlay


class _Part(NamedTuple):
    """A kind of part that may extend a file: the content of such a file, and how a part is merged into it."""

    content: Content
    merge: Callable[[MappingNode, MappingNode], MappingNode]


_TRAINING = _Part(
    Content("a recipe", "`batch_size` and `optimizer`", "write what a spec has under `training:`, not indented"),
    merge_training,
)
_PREPROCESSING = _Part(
    Content("a preprocessing", "`mean` and `std`", "write what an input has under `preprocessing:`, not indented"),
    overlay,
)
# Keys of a spec that no part has.
_SPEC_KEYS = ("name", "layers", "input", "inputs")


def inherit_parts(chain: Sequence[MappingNode], problems: Problems) -> list[MappingNode]:
    """Resolve `extends` in the `training:` and in the `preprocessing:` of the inputs of each document.

    This is done before the documents of the chain are merged, so that a document counts as stating all that its parts
    inherit.

    Raises:
        SpecError: a file cannot be read, is not a mapping, or takes part in a cycle of `extends`.
    """
    orders = count(len(chain))
    return [_inherit(document, orders, problems) for document in chain]


def _inherit(document: MappingNode, orders: Iterator[int], problems: Problems) -> MappingNode:
    entries = dict(document.entries)
    for key, entry in document.entries.items():
        if key == "training":
            entries[key] = _inherit_part(entry, _TRAINING, orders, problems)
        elif key == "input":
            entries[key] = _inherit_input(entry, orders, problems)
        elif key == "inputs" and isinstance(entry.value, MappingNode):
            named = {name: _inherit_input(input, orders, problems) for name, input in entry.value.entries.items()}
            entries[key] = Entry(entry.at, MappingNode(named, entry.value.at))
    return MappingNode(entries, document.at)


def _inherit_input(entry: Entry, orders: Iterator[int], problems: Problems) -> Entry:
    node = entry.value
    if not isinstance(node, MappingNode) or "preprocessing" not in node.entries:
        return entry
    preprocessing = _inherit_part(node.entries["preprocessing"], _PREPROCESSING, orders, problems)
    return Entry(entry.at, MappingNode({**node.entries, "preprocessing": preprocessing}, node.at))


def _inherit_part(entry: Entry, part: _Part, orders: Iterator[int], problems: Problems) -> Entry:
    """A part merged with the files that it extends, directly and indirectly."""
    node = entry.value
    if not isinstance(node, MappingNode) or "extends" not in node.entries:
        return entry
    chain = [node]
    for base in read_bases(node, part.content, orders, problems):
        if any(key in base.entries for key in _SPEC_KEYS):
            extends = chain[-1].entries["extends"].value
            message = f"{base.at.source.file} is a spec, expected {part.content.name}"
            problems.fail(extends.at, message, f"in a file of its own, {part.content.hint}")
        chain.append(base)
    merged = reduce(part.merge, (_without_extends(document) for document in reversed(chain)))
    return Entry(entry.at, merged)


def _without_extends(node: MappingNode) -> MappingNode:
    return MappingNode({key: entry for key, entry in node.entries.items() if key != "extends"}, node.at)
