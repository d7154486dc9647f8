"""`--set name=value`: sets parameters, parts of the recipe and the placement from outside of the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from netspec.spec.expressions.expression import has_expression
from netspec.spec.parameters.declarations import default_of, kind_of, scalar_hint, with_value
from netspec.spec.text.document import (
    DocumentNode,
    Entry,
    MappingNode,
    Position,
    Problems,
    Source,
    describe,
    is_broken,
    quote,
    text_of,
)
from netspec.spec.text.hints import nearest, suggest
from netspec.spec.text.reader import read_document
from netspec.spec.text.scalars import scalar_text

Overrides = Mapping[str, object] | Sequence[str]


def apply_overrides(document: MappingNode, overrides: Overrides, problems: Problems) -> MappingNode:
    """The document with each `name=value` applied. A value is YAML.

    `classes=10` sets a parameter of the spec, `training.batch_size=64` a part of its recipe, and
    `placement.towers=2` the number of devices that it is placed on. Another `name`, `training.schedule.name=cosine`,
    replaces its part of the recipe, as in a file that extends the spec: other names have other keys. It is applied
    before the settings of its keys, in whatever order they are given.
    """
    texts: Sequence[str]
    if isinstance(overrides, Mapping):
        texts = [f"{name}={_value_text(value)}" for name, value in overrides.items()]
    else:
        texts = [overrides] if isinstance(overrides, str) else overrides
    for order, text in sorted(enumerate(texts), key=lambda each: not _names_a_part(each[1])):
        document = _apply(document, text, order - len(texts), problems)
    return document


def _names_a_part(text: str) -> bool:
    name = text.partition("=")[0]
    return name.startswith("training.") and name.endswith(".name")


def _value_text(value: object) -> str:
    """The YAML text of a Python value. A string is YAML already."""
    if not isinstance(value, list | tuple | dict):
        return scalar_text(value)
    import json  # noqa: PLC0415 # only for callers from Python

    return json.dumps(value, ensure_ascii=False)


def _apply(document: MappingNode, text: str, order: int, problems: Problems) -> MappingNode:
    name, equals, value_text = text.partition("=")
    source = Source("--set", tuple(text.splitlines()), order)
    at = Position(source, 0, 0)
    if not (equals and name and value_text.strip()):
        problems.add(at, f"expected name=value, received {quote(text)}", "for example `--set classes=10`")
        return document
    if value_text.lstrip().startswith("#"):
        problems.add(at, f"the value of {quote(name)} is empty", f'# begins a comment: quote it, `{name}="#…"`')
        return document
    # Spaces in place of the name make positions in the value those of the text that was typed.
    value = read_document(" " * (len(name) + 1) + value_text, source, problems)
    if is_broken(value):
        return document
    path = name.split(".")
    if len(path) == 1:
        return _set_parameter(document, name, Entry(at, value), problems)
    if path[0] not in {"training", "placement"}:
        hint = "a file that extends this one can change it"
        if path[0] == "parameters":
            hint = f"`{path[1]}=…` sets it"
        elif nearest(path[0], ["training"]):
            hint = f"did you mean `training.{'.'.join(path[1:])}`?"
        problems.add(at, f"{quote(name)} cannot be set: parameters, `training.…` and `placement.towers` can", hint)
        return document
    return _set_path(document, path, Entry(at, value), problems)


def _set_parameter(document: MappingNode, name: str, given: Entry, problems: Problems) -> MappingNode:
    entry = document.entries.get("parameters")
    parameters = entry.value.entries if entry and isinstance(entry.value, MappingNode) else {}
    if entry is None or name not in parameters:
        hint = suggest(name, parameters, "it defines") or "`parameters: {…}` in the spec defines them"
        if name in {"placement", "towers"}:
            hint = "`--set placement.towers=…` says on how many devices the network lies"
        elif "training" in document.entries and _is_recipe_field(name):
            hint = f"`--set training.{name}=…` sets it in the recipe"
        problems.add(given.at, f"the spec has no parameter {quote(name)}", hint)
        return document
    stated = parameters[name].value
    default = default_of(stated)
    if default is not None and not isinstance(stated, MappingNode) and not _same_kind(default, given.value):
        message = (
            f"expected a value of the same type as in the spec, {describe(default)}, received {describe(given.value)}"
        )
        problems.add(given.value.at, message, scalar_hint(given.value, kind_of(default)))
        return document
    value = with_value(MappingNode(parameters, entry.value.at), name, given)
    return MappingNode({**document.entries, "parameters": Entry(entry.at, value)}, document.at)


def _is_recipe_field(name: str) -> bool:
    from netspec.recipe import Recipe  # noqa: PLC0415 # twenty classes, for a hint

    return name in Recipe.model_fields


def _same_kind(default: DocumentNode, given: DocumentNode) -> bool:
    """Whether both are numbers, booleans, strings, lists or mappings. A default with an expression may be any."""
    kinds = {"number" if kind == "integer" else kind for kind in map(kind_of, (default, given))}
    return len(kinds) == 1 or has_expression(text_of(default))


def _is_another(before: Entry | None, given: Entry) -> bool:
    return before is not None and text_of(before.value) != text_of(given.value)


def _set_path(document: MappingNode, path: list[str], given: Entry, problems: Problems) -> MappingNode:
    """The document with a value set at a path; mappings that are missing on the path are created."""
    key, *rest = path
    entry = document.entries.get(key)
    if not rest:
        if key == "name" and _is_another(document.entries.get(key), given):
            return MappingNode({key: given}, given.at)
        return MappingNode({**document.entries, key: given}, document.at)
    if entry is None:
        if key == "training":
            problems.add(given.at, "the spec has no `training` to change")
            return document
        entry = Entry(given.at, MappingNode({}, given.at))
    if not isinstance(entry.value, MappingNode):
        message = f"{quote(key)} is {describe(entry.value)} in the spec, not a mapping with {quote(rest[0])}"
        problems.add(given.at, message)
        return document
    value = _set_path(entry.value, rest, given, problems)
    at = given.at if value.at == given.at else entry.at  # what a part lacks is missing where it was replaced
    return MappingNode({**document.entries, key: Entry(at, value)}, document.at)
