"""Mappings over mappings: what merges by key, what replaces whole, and what `null` takes away."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from netspec.spec.text.document import DocumentNode, Entry, MappingNode, is_null

Merge = Callable[[MappingNode, MappingNode], DocumentNode]


def both_mappings(below: DocumentNode, above: DocumentNode, merge: Merge) -> DocumentNode:
    """`merge`, if both are mappings; else what stands above."""
    if isinstance(below, MappingNode) and isinstance(above, MappingNode):
        return merge(below, above)
    return above


def overlay(below: MappingNode, above: MappingNode) -> MappingNode:
    """Keys of both; what stands above wins whole."""
    return _merge_keys(below, above, lambda key: None)


def takes_away(entry: Entry, key: str, below: Mapping[str, Entry]) -> bool:
    """Whether an entry is `null` over one that is there: then the key is said by neither."""
    return key in below and is_null(entry.value)


def merge_attributes(below: MappingNode, above: MappingNode) -> MappingNode:
    """Attributes of a layer over others: each replaced whole, `initialize` merged by weight."""
    return _merge_keys(below, above, lambda key: overlay if key == "initialize" else None)


def merge_defaults(below: MappingNode, above: MappingNode) -> MappingNode:
    """Defaults over defaults: by op, then by attribute."""
    return _merge_keys(below, above, lambda key: merge_attributes)


def merge_presets(below: MappingNode, above: MappingNode) -> MappingNode:
    """Presets over presets: by parameter, by its value, by what it sets."""
    return _merge_keys(below, above, lambda key: lambda a, b: _merge_keys(a, b, lambda value: overlay))


def merge_training(below: MappingNode, above: MappingNode) -> MappingNode:
    """A recipe over a recipe, key by key; a part that states its `name` replaces, as its keys are its own."""
    if "name" in above.entries:
        return above
    return _merge_keys(below, above, lambda key: merge_training)


def _merge_keys(below: MappingNode, above: MappingNode, merge_of: Callable[[str], Merge | None]) -> MappingNode:
    entries = dict(below.entries)
    for key, entry in above.entries.items():
        merge = merge_of(key)
        if takes_away(entry, key, entries):
            del entries[key]
        elif merge is not None and key in entries:
            entries[key] = Entry(entry.at, both_mappings(entries[key].value, entry.value, merge))
        else:
            entries[key] = entry
    return MappingNode(entries, above.at)
