"""Merges the document of a derived file into that of its base, so that every value keeps its position."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from functools import partial

from netspec.spec.extends.blocks import merge_blocks
from netspec.spec.extends.layers import Removals, merge_layers
from netspec.spec.parameters.declarations import merge_parameters
from netspec.spec.parameters.presets import merge_presets
from netspec.spec.parameters.values import names_seen
from netspec.spec.text.document import DocumentNode, Entry, MappingNode, Problems, quote, scalars_in, text_of
from netspec.spec.text.hints import suggest
from netspec.spec.text.merge import Merge, both_mappings, merge_defaults, merge_training, removes

# Keys that are not inherited: the name and the published figures are those of one network, `extends` is resolved.
_NOT_INHERITED = ("name", "published", "extends")

_MERGES: dict[str, Merge] = {
    "parameters": merge_parameters,
    "presets": merge_presets,
    "defaults": merge_defaults,
    "training": merge_training,
}


def merge_documents(base: MappingNode, derived: MappingNode, problems: Problems) -> MappingNode:
    """The derived document, with what it does not state inherited from the base."""
    entries = {key: entry for key, entry in base.entries.items() if key not in _NOT_INHERITED}
    stated = derived.entries
    if "input" in stated or "inputs" in stated:
        entries.pop("input", None)
        entries.pop("inputs", None)
    for key, entry in stated.items():
        merge = _MERGES.get(key) if key != "blocks" else partial(merge_blocks, problems=problems)
        if key not in ("layers", "input", "inputs") and removes(entry, key, entries):
            del entries[key]
        elif merge is not None and key in entries:
            entries[key] = Entry(entry.at, both_mappings(entries[key].value, entry.value, merge))
        elif key != "layers":
            entries[key] = entry
    if "layers" in stated:
        layers, removals = _merge_layers(base, stated["layers"].value, _first_input(entries), problems)
        entries["layers"] = Entry(stated["layers"].at, layers)
        if removals and "outputs" in entries and "outputs" not in stated:
            outputs = entries["outputs"]
            entries["outputs"] = Entry(outputs.at, removals.rewire(outputs.value))
        if removals and "auxiliary" in entries and "auxiliary" not in stated:
            entries |= _without_heads(entries, removals)
    return MappingNode(entries, derived.at)


def _without_heads(entries: Mapping[str, Entry], removals: Removals) -> dict[str, Entry]:
    """`auxiliary:` without removed layers, and the recipe without the weights that the base gives them in the loss."""
    auxiliary = entries["auxiliary"]
    changed = {"auxiliary": Entry(auxiliary.at, removals.kept_names(auxiliary.value))}
    if "training" in entries:
        training = entries["training"]
        changed["training"] = Entry(training.at, removals.kept_keys(training.value, ("loss", "auxiliary")))
    return changed


def _merge_layers(
    base: MappingNode, derived: DocumentNode, first_input: str, problems: Problems
) -> tuple[DocumentNode, Removals | None]:
    below = base.get("layers")
    if isinstance(below, MappingNode) and isinstance(derived, MappingNode):
        return merge_layers(below, derived, first_input, problems)
    return derived, None


def _first_input(entries: dict[str, Entry]) -> str:
    inputs = entries["inputs"].value if "inputs" in entries else None
    return next(iter(inputs.entries), "input") if isinstance(inputs, MappingNode) else "input"


def check_new_names(files: Sequence[MappingNode], document: MappingNode, problems: Problems) -> None:
    """Report parameters and blocks of a file that no file it extends has, and nothing uses: probably misspelt ones.

    Args:
        files: documents of the file and of those that it extends.
        document: the merged document.
        problems: collects the problems.
    """
    if new := _new("parameters", files):
        presets = document.entries.get("presets")
        used = {name for entry in document.entries.values() for name in names_seen(entry.value)}
        used |= set(presets.value.entries) if presets is not None and isinstance(presets.value, MappingNode) else set()
        _report_unused("parameter", new, used, _inherited("parameters", files), problems)
    if new := _new("blocks", files):
        texts = (text_of(scalar) for entry in document.entries.values() for scalar in scalars_in(entry.value))
        words = {word for text in texts for word in re.findall(r"\w+", text)}  # of expressions too, that choose a block
        _report_unused("block", new, words, _inherited("blocks", files), problems)


def _report_unused(
    noun: str, new: Mapping[str, Entry], used: Collection[str], known: Collection[str], problems: Problems
) -> None:
    for name, entry in new.items():
        if name not in used:
            message = f"no file that this one extends has a {noun} {quote(name)}, and nothing uses it"
            problems.add(entry.at, message, suggest(name, known, "there are"))


def _new(key: str, files: Sequence[MappingNode]) -> dict[str, Entry]:
    """The entries of a file under a key that no file it extends has."""
    inherited = _inherited(key, files)
    return {name: entry for name, entry in _entries(files[0], key).items() if name not in inherited}


def _inherited(key: str, files: Sequence[MappingNode]) -> dict[str, Entry]:
    return {name: entry for file in reversed(files[1:]) for name, entry in _entries(file, key).items()}


def _entries(file: MappingNode, key: str) -> Mapping[str, Entry]:
    node = file.get(key)
    return node.entries if isinstance(node, MappingNode) else {}
