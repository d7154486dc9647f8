"""Merges blocks: a derived file changes the layers of its base's blocks as it changes those of the network."""

from __future__ import annotations

from netspec.spec.extends.layers import is_complete, merge_layers
from netspec.spec.layers.blocks import INPUT
from netspec.spec.text.document import DocumentNode, Entry, MappingNode, Problems, ScalarNode, SequenceNode
from netspec.spec.text.merge import both_mappings, overlay, removes


def merge_blocks(base: MappingNode, derived: MappingNode, problems: Problems) -> MappingNode:
    """The blocks of both files. One that both have is merged, or replaced if the derived one is complete."""
    entries = dict(base.entries)
    for name, entry in derived.entries.items():
        if removes(entry, name, entries):
            del entries[name]
            continue
        below, above = base.entries.get(name), entry.value
        if below is not None and isinstance(below.value, MappingNode) and isinstance(above, MappingNode):
            above = above if _is_complete(above) else _merge_block(below.value, above, problems)
        entries[name] = Entry(entry.at, above)
    return MappingNode(entries, derived.at)


def _is_complete(block: MappingNode) -> bool:
    """Whether a block has layers that all state an op or block, and none is placed `after` another file's layer."""
    layers = block.get("layers")
    if layers is None:
        return False
    values = [entry.value for entry in layers.entries.values()] if isinstance(layers, MappingNode) else []
    return all(isinstance(v, MappingNode) and is_complete(v) and "after" not in v.entries for v in values)


def _merge_block(below: MappingNode, above: MappingNode, problems: Problems) -> MappingNode:
    """A block of a derived file merged into the block of its base."""
    entries = dict(overlay(below, above).entries)
    if "parameters" in below.entries and "parameters" in above.entries and "parameters" in entries:
        stated = above.entries["parameters"]
        parameters = both_mappings(below.entries["parameters"].value, stated.value, overlay)
        entries["parameters"] = Entry(stated.at, parameters)
    layers, changes = below.get("layers"), above.get("layers")
    if isinstance(layers, MappingNode) and isinstance(changes, MappingNode):
        merged, removals = merge_layers(layers, changes, _first_input(entries), problems)
        entries["layers"] = Entry(above.entries["layers"].at, merged)
        if removals and "outputs" in below.entries and "outputs" not in above.entries:
            outputs = below.entries["outputs"]
            entries["outputs"] = Entry(outputs.at, removals.rewire(outputs.value))
    return MappingNode(entries, above.at)


def _first_input(entries: dict[str, Entry]) -> str:
    """The input that the first layer of a block reads."""
    stated: DocumentNode | None = entries["inputs"].value if "inputs" in entries else None
    first = stated.items[0] if isinstance(stated, SequenceNode) and stated.items else None
    return first.value if isinstance(first, ScalarNode) and isinstance(first.value, str) else INPUT
