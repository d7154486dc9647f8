"""Reads a spec as its writer meant it: a misspelt key, layers and blocks in the wrong place are reported once.

Read literally, one such mistake would be followed by a problem in every line that depends on it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from itertools import islice
from typing import Final

from netspec.spec.spec_hints import key_hint, other_kind
from netspec.spec.text.document import DocumentNode, Entry, MappingNode, Problems, is_null, quote, text_of
from netspec.spec.text.hints import nearest

KEYS: Final = (
    *("name", "source", "extends", "input", "inputs", "parameters", "presets", "defaults", "blocks", "layers"),
    *("outputs", "auxiliary", "placement", "published", "training"),
)


def spec_as_meant(document: MappingNode, problems: Problems) -> MappingNode:
    """The document of a spec with keys, layers and blocks where they belong. What was elsewhere is reported."""
    if other_kind(document.entries)[0]:
        return document
    document = as_meant(document, KEYS, "a spec", problems)
    for section, is_one, noun in (("layers", is_layer, "layer"), ("blocks", _is_block, "block")):
        if _is_absent(section, document.entries):
            document = _collected(document, section, is_one, noun, problems)
    return document


def as_meant(node: MappingNode, keys: Collection[str], noun: str, problems: Problems) -> MappingNode:
    """A spec or a block with misspelt keys renamed, and the layers among its keys below `layers`; both reported.

    Args:
        node: the mapping.
        keys: the keys that it may have.
        noun: what it is, as in "a spec has no key".
        problems: collects the problems.
    """
    if node.entries.keys() <= set(keys):
        return node
    entries: dict[str, Entry] = {}
    layers: dict[str, Entry] = {}
    for key, entry in node.entries.items():
        if key not in keys and is_layer(entry.value):
            layers[key] = entry
            continue
        meant = nearest(key, keys) if key not in keys else key
        if meant != key and meant and _is_absent(meant, node.entries) and meant not in entries:
            problems.add(entry.at, f"{noun} has no key {quote(key)}", key_hint(key, entry.value, keys))
            entries[meant] = entry
        else:
            entries[key] = entry
    if layers:
        first = next(iter(layers))
        problems.add(
            layers[first].at,
            f"{_those(layers, 'layer')} among the keys of {noun}",
            "layers stand under `layers:`, indented",
        )
        stated = entries.get("layers", layers[first])
        below = stated.value.entries if "layers" in entries and isinstance(stated.value, MappingNode) else {}
        entries["layers"] = Entry(stated.at, MappingNode({**layers, **below}, stated.at))
    return MappingNode(entries, node.at)


def is_layer(node: DocumentNode) -> bool:
    """Whether a node states an op or a block by its name, as a layer does."""
    return isinstance(node, MappingNode) and any(
        key in node.entries and bool(text_of(node.entries[key].value)) for key in ("op", "block")
    )


def _is_block(node: DocumentNode) -> bool:
    return isinstance(node, MappingNode) and isinstance(node.get("layers"), MappingNode)


def _is_absent(key: str, entries: Mapping[str, Entry]) -> bool:
    return key not in entries or is_null(entries[key].value)


def _collected(
    document: MappingNode, section: str, is_one: Callable[[DocumentNode], bool], noun: str, problems: Problems
) -> MappingNode:
    """The document with a section that it lacks made of what stands in another one: its line was left out."""
    for other in ("blocks", "defaults", "parameters"):
        node = document.get(other)
        found = {}
        if other != section and isinstance(node, MappingNode):
            found = {name: entry for name, entry in node.entries.items() if is_one(entry.value)}
        if found and isinstance(node, MappingNode):
            first = next(iter(found.values()))
            hint = f"{noun}s stand under `{section}:`: is that line missing above?"
            problems.add(first.at, f"{_those(found, noun)} under `{other}:`", hint)
            rest = MappingNode({name: entry for name, entry in node.entries.items() if name not in found}, node.at)
            below = {
                other: Entry(document.entries[other].at, rest),
                section: Entry(first.at, MappingNode(found, first.at)),
            }
            return MappingNode({**document.entries, **below}, document.at)
    return document


def _those(entries: Mapping[str, Entry], noun: str) -> str:
    """What misplaced entries are: `'conv1' is a layer`, `'conv1', 'relu1' and 7 more are layers`."""
    names, rest = [quote(name) for name in islice(entries, 2)], len(entries) - 2
    if len(names) == 1:
        return f"{names[0]} is a {noun}"
    return f"{', '.join(names)} and {rest:,} more are {noun}s" if rest else f"{' and '.join(names)} are {noun}s"
