"""What the writer of a key probably meant that a spec, or a block, does not have: a typo, or another level."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from netspec.spec.text.document import DocumentNode, Entry, MappingNode
from netspec.spec.text.hints import nearest, suggest


def key_hint(key: str, node: DocumentNode, known: Collection[str]) -> str:
    """What a key that is not taken may have meant, by its name and by what it holds."""
    if isinstance(node, MappingNode):
        if is_layer(node):
            return "a layer stands under `layers:`, indented"
        if "layers" in node.entries and "layers" in known:
            return f"what `{key}` holds is the spec: leave out that line, and begin the others at the start"
    if key == "preprocessing" and key not in known:
        return "it is of an input: `input: {shape: …, preprocessing: {…}}`"
    if "training" in known and not nearest(key, known):
        from netspec.recipe import Recipe  # noqa: PLC0415 # a right spec needs none of it

        if key in Recipe.model_fields:
            return f"it is a part of the recipe: `training: {{{key}: …}}`"
    return suggest(key, known, "it has")


_OTHERS = (  # files of netspec that are no specs, by keys that all of them have
    ({"study", "members"}, "a study", "`netspec study` takes it"),
    ({"origin", "models"}, "a mapping of weights", "`netspec weights import --mapping` takes it"),
)


def other_kind(entries: Mapping[str, Entry]) -> tuple[str, str]:
    """What a file is that is another of netspec's than a spec, and what takes it; empty where it may be a spec."""
    return next(((what, hint) for keys, what, hint in _OTHERS if keys <= set(entries)), ("", ""))


def is_said_otherwise(key: str, entries: Mapping[str, Entry], known: Collection[str]) -> bool:
    """Whether a key that is missing is probably meant by one that is not taken, which is reported."""
    unknown = {own: entry.value for own, entry in entries.items() if own not in known}
    held = any(
        isinstance(node, MappingNode) and key in node.entries and not is_layer(node) for node in unknown.values()
    )
    return held or any(nearest(own, known) == key for own in unknown)


def layers_below(entries: Mapping[str, Entry], known: Collection[str]) -> bool:
    """Whether layers stand where keys do: they are not indented."""
    return any(is_layer(entry.value) for key, entry in entries.items() if key not in known)


def is_layer(node: DocumentNode) -> bool:
    """Whether something says an op or a block, as a layer does."""
    return isinstance(node, MappingNode) and any(key in node.entries for key in ("op", "block"))
