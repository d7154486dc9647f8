"""`extends`: one document laid over another, still as documents, so that every value keeps its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from netspec.spec.extends.blocks import merge_blocks
from netspec.spec.extends.layers import Removals, merge_layers
from netspec.spec.parameters.declarations import merge_parameters
from netspec.spec.parameters.values import names_seen
from netspec.spec.text.document import DocumentNode, Entry, MappingNode, Problems, quote
from netspec.spec.text.hints import suggest
from netspec.spec.text.merge import Merge, both_mappings, merge_defaults, merge_presets, merge_training, takes_away

# Not taken over: a name is one network's, published figures are one network's, `extends` is done.
_OWN = ("name", "published", "extends")

_MERGES: dict[str, Merge] = {
    "parameters": merge_parameters,
    "presets": merge_presets,
    "defaults": merge_defaults,
    "training": merge_training,
}


def merge_documents(base: MappingNode, derived: MappingNode, problems: Problems) -> MappingNode:
    """The derived document with everything that it does not say taken from the base."""
    entries = {key: entry for key, entry in base.entries.items() if key not in _OWN}
    said = derived.entries
    if "input" in said or "inputs" in said:
        entries.pop("input", None)
        entries.pop("inputs", None)
    for key, entry in said.items():
        merge = _MERGES.get(key) if key != "blocks" else partial(merge_blocks, problems=problems)
        if key not in ("layers", "input", "inputs") and takes_away(entry, key, entries):
            del entries[key]
        elif merge is not None and key in entries:
            entries[key] = Entry(entry.at, both_mappings(entries[key].value, entry.value, merge))
        elif key != "layers":
            entries[key] = entry
    if "layers" in said:
        layers, removals = _layers(base, said["layers"].value, _first_input(entries), problems)
        entries["layers"] = Entry(said["layers"].at, layers)
        if removals and "outputs" in entries and "outputs" not in said:
            outputs = entries["outputs"]
            entries["outputs"] = Entry(outputs.at, removals.rewire(outputs.value))
    return MappingNode(entries, derived.at)


def _layers(
    base: MappingNode, derived: DocumentNode, first_input: str, problems: Problems
) -> tuple[DocumentNode, Removals | None]:
    below = base.get("layers")
    if isinstance(below, MappingNode) and isinstance(derived, MappingNode):
        return merge_layers(below, derived, first_input, problems)
    return derived, None


def _first_input(entries: dict[str, Entry]) -> str:
    inputs = entries["inputs"].value if "inputs" in entries else None
    return next(iter(inputs.entries), "input") if isinstance(inputs, MappingNode) else "input"


def check_new_parameters(files: Sequence[MappingNode], document: MappingNode, problems: Problems) -> None:
    """Report parameters that a file gives, and neither the files that it extends have nor anything uses: typos.

    Args:
        files: the file, then those that it extends.
        document: the same, merged.
        problems: where they are recorded.
    """
    stated, *others = (_parameters(file) for file in files)
    known = list(dict.fromkeys(name for own in others for name in own))
    new = stated.keys() - set(known)
    if not new:
        return
    presets = document.entries.get("presets")
    used = {name for entry in document.entries.values() for name in names_seen(entry.value)}
    used |= set(presets.value.entries) if presets is not None and isinstance(presets.value, MappingNode) else set()
    for name in new - used:
        message = f"no file that this one extends has a parameter {quote(name)}, and nothing uses it"
        problems.add(stated[name].at, message, suggest(name, known, "there are"))


def _parameters(file: MappingNode) -> Mapping[str, Entry]:
    node = file.get("parameters")
    return node.entries if isinstance(node, MappingNode) else {}
