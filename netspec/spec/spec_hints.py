"""Hints at what the writer of an unknown key of a spec or a block probably meant: a typo, or another level."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from netspec.spec.text.document import DocumentNode, Entry, MappingNode
from netspec.spec.text.hints import nearest, suggest


def key_hint(key: str, node: DocumentNode, known: Collection[str]) -> str:
    """A hint for an unknown key, from its name and its value. `known` are the keys of the spec or the block."""
    if isinstance(node, MappingNode) and "layers" in node.entries and "layers" in known:
        return f"the spec is indented under `{key}`: remove that line, and the indentation"
    if key == "preprocessing" and key not in known:
        return "it belongs to an input: `input: {shape: …, preprocessing: {…}}`"
    if "training" in known and not nearest(key, known):
        from netspec.recipe import Recipe  # noqa: PLC0415 # only for the hint

        if key in Recipe.model_fields:
            return f"it is a part of the recipe: `training: {{{key}: …}}`"
    return suggest(key, known, "it has")


# Other kinds of files of netspec: keys that all of them have, noun, and hint.
_OTHER_KINDS = (
    ({"study", "members"}, "a study", "`netspec study` takes it"),
    ({"origin", "models"}, "a mapping of weights", "`netspec weights import --mapping` takes it"),
)


def other_kind(entries: Mapping[str, Entry]) -> tuple[str, str]:
    """The kind of a file of netspec that is no spec, and a hint at the command that takes it; empty for a spec."""
    return next(((kind, hint) for keys, kind, hint in _OTHER_KINDS if keys <= set(entries)), ("", ""))


def is_one_level_deeper(key: str, entries: Mapping[str, Entry], known: Collection[str]) -> bool:
    """Whether a missing key stands in the mapping of an unknown one, which is reported."""
    unknown = (entry.value for name, entry in entries.items() if name not in known)
    return any(isinstance(node, MappingNode) and key in node.entries for node in unknown)
