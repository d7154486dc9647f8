"""Merges mappings: which keys merge, which are replaced whole, and which `null` removes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from netspec.spec.text.document import DocumentNode, Entry, MappingNode, is_null

Merge = Callable[[MappingNode, MappingNode], DocumentNode]


def both_mappings(below: DocumentNode, above: DocumentNode, merge: Merge) -> DocumentNode:
    """The result of `merge` if both nodes are mappings, else `above`."""
    if isinstance(below, MappingNode) and isinstance(above, MappingNode):
        return merge(below, above)
    return above


def overlay(below: MappingNode, above: MappingNode) -> MappingNode:
    """The keys of both mappings. A value of `above` replaces one of `below` whole."""
    return merge_keys(below, above, lambda key: None)


def removes(entry: Entry, key: str, below: Mapping[str, Entry]) -> bool:
    """Whether an entry is `null` and so removes the key from the mapping below, which has it."""
    return key in below and is_null(entry.value)


def merge_attributes(below: MappingNode, above: MappingNode) -> MappingNode:
    """Merge the attributes of a layer: each is replaced whole, except that `initialize` merges weight by weight."""
    return merge_keys(below, above, lambda key: overlay if key == "initialize" else None)


def merge_defaults(below: MappingNode, above: MappingNode) -> MappingNode:
    """Merge `defaults:` op by op, then attribute by attribute."""
    return merge_keys(below, above, lambda key: merge_attributes)


def merge_training(below: MappingNode, above: MappingNode) -> MappingNode:
    """Merge recipes key by key. A part with a `name` replaces the part below whole: other names have other keys."""
    if "name" in above.entries:
        return above
    return merge_keys(below, above, lambda key: merge_training)


def merge_keys(below: MappingNode, above: MappingNode, merge_of: Callable[[str], Merge | None]) -> MappingNode:
    """Merge mappings. `merge_of` gives the function that merges the values of a key; None replaces them whole."""
    entries = dict(below.entries)
    for key, entry in above.entries.items():
        merge = merge_of(key)
        if removes(entry, key, entries):
            del entries[key]
        elif merge is not None and key in entries:
            entries[key] = Entry(entry.at, both_mappings(entries[key].value, entry.value, merge))
        else:
            entries[key] = entry
    return MappingNode(entries, above.at)
