"""`presets:`: a value of one parameter chooses the values of others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from netspec.spec.expressions.expression import has_expression
from netspec.spec.parameters.declarations import Declaration, identity_of, unlike_type
from netspec.spec.text.document import (
    BROKEN,
    DocumentNode,
    Entry,
    MappingNode,
    Position,
    Problems,
    ScalarNode,
    describe,
    is_broken,
    plain,
    quote,
    text_of,
)
from netspec.spec.text.hints import did_you_mean, suggest
from netspec.spec.text.merge import merge_keys, overlay
from netspec.spec.text.scalars import lookalike, resolve_scalar, scalar_text

Preset = Mapping[str, Entry]  # values of parameters by name
Identity = tuple[str, object]  # of a value, as `identity_of` gives it


class Presets(NamedTuple):
    """All presets: by the parameter that chooses, then by its value; each with the text of that value."""

    by_parameter: Mapping[str, Mapping[Identity, tuple[str, Preset]]]

    def choose(self, parameter: str, node: DocumentNode, problems: Problems) -> Preset:
        """The preset for a value of a parameter. If there is none, a problem is recorded and all values are broken."""
        presets = self.by_parameter.get(parameter, {})
        if not presets:
            return {}
        value = plain(node)
        if not is_broken(node):
            if identity_of(value) in presets:
                return presets[identity_of(value)][1]
            texts = [text for text, _ in presets.values()]
            message = f"{quote(parameter)} has no preset for {describe(node)}"
            problems.add(node.at, message, _value_hint(value, texts) or f"there are {', '.join(texts)}")
        return {name: Entry(node.at, ScalarNode(BROKEN, node.at)) for _, preset in presets.values() for name in preset}


def _value_hint(value: object, texts: Sequence[str]) -> str:
    """A hint at the value that was probably meant, among the texts of those that exist."""
    text = scalar_text(value)
    if text in texts:  # of another type
        return (lookalike(text) if isinstance(value, str) else "") or f'in quotes it is a string: `"{text}"`'
    return did_you_mean(text, texts) if isinstance(value, str) else ""


def _key_value(key: str, at: Position) -> object:
    """The value that the key of a preset stands for: a string if it is quoted, else as any plain scalar."""
    line = at.source.lines[at.line] if at.line < len(at.source.lines) else ""
    try:
        return key if line[at.column : at.column + 1] in {'"', "'"} else resolve_scalar(key)
    except ValueError:
        return key  # reported by the reader


def _identities(presets: MappingNode) -> dict[str, Identity]:
    return {key: identity_of(_key_value(key, entry.at)) for key, entry in presets.entries.items()}


def merge_presets(below: MappingNode, above: MappingNode) -> MappingNode:
    """Merge `presets:` by choosing parameter, then by its value, however written, then by the parameter that is set."""
    return merge_keys(below, above, lambda parameter: _merge_values)


def _merge_values(below: MappingNode, above: MappingNode) -> MappingNode:
    written = {identity: key for key, identity in _identities(below).items()}
    entries: dict[str, Entry] = {}
    for key, identity in _identities(above).items():
        # Of two keys of one value, the second stays as it is: `read_presets` reports it.
        entries[written.pop(identity, key)] = above.entries[key]
    return merge_keys(below, MappingNode(entries, above.at), lambda value: overlay)


def read_presets(node: DocumentNode | None, declarations: Mapping[str, Declaration], problems: Problems) -> Presets:
    """All presets, with each value checked against its parameter, whether or not the preset is chosen."""
    if node is None:
        return Presets({})
    if not isinstance(node, MappingNode):
        hint = "for example `{depth: {18: {width: 64}, 34: {width: 128}}}`"
        problems.add(node.at, f"expected a mapping of parameters to presets, received {describe(node)}", hint)
        return Presets({})
    by_parameter: dict[str, dict[Identity, tuple[str, Preset]]] = {}
    order = list(declarations)
    for parameter, entry in node.entries.items():
        if problems.is_known(entry.at):
            continue
        if parameter not in declarations:
            hint = suggest(parameter, declarations, "it defines")
            problems.add(entry.at, f"the spec has no parameter {quote(parameter)} that could choose a preset", hint)
        elif isinstance(entry.value, MappingNode):
            below = order[order.index(parameter) + 1 :]
            _refuse_repeated(entry.value, problems)
            _refuse_impossible(declarations[parameter], entry.value, problems)
            presets = entry.value.entries
            by_parameter[parameter] = {
                identity: (key, _read_preset(parameter, presets[key].value, below, declarations, problems))
                for key, identity in _identities(entry.value).items()
            }
        elif not is_broken(entry.value):
            message = f"expected a mapping of values of {quote(parameter)} to presets"
            problems.add(entry.value.at, f"{message}, received {describe(entry.value)}")
    return Presets(by_parameter)


def _refuse_repeated(presets: MappingNode, problems: Problems) -> None:
    """Report presets for a value that has one, in another spelling. The reader reports those in the same spelling."""
    first: dict[Identity, Entry] = {}
    for key, identity in _identities(presets).items():
        entry = presets.entries[key]
        if identity in first:
            message = f"{key} is already defined in line {first[identity].at.line + 1}, in another spelling"
            problems.add(entry.at, message, "remove one of the two")
        first.setdefault(identity, entry)


def _refuse_impossible(declaration: Declaration, presets: MappingNode, problems: Problems) -> None:
    """Report presets for values that the parameter cannot have: not one of its choices, or not of its type.

    The presets of a base file are accepted: a derived file may have narrowed the choices.
    """
    choices = [identity_of(choice) for choice in declaration.choices]
    values = {key: _key_value(key, entry.at) for key, entry in presets.entries.items()}
    mistyped = [key for key, value in values.items() if unlike_type(value, declaration.type)]
    if len(mistyped) == len(values):
        mistyped = []  # then the value of the parameter has no preset, and that is reported
    for key, entry in presets.entries.items():
        if entry.at.source.order > declaration.at.source.order:
            continue
        if identity_of(values[key]) not in choices if choices else key in mistyped:
            message = f"{quote(declaration.name)} is never {_shown(key, values[key])}: it is {declaration.expected}"
            hint = _value_hint(values[key], list(map(scalar_text, declaration.choices)))
            problems.add(entry.at, message, hint or (lookalike(key) if isinstance(values[key], str) else ""))


def _shown(key: str, value: object) -> str:
    return quote(key) if isinstance(value, str) and (lookalike(key) or not key) else key


def _read_preset(
    parameter: str, node: DocumentNode, below: list[str], declarations: Mapping[str, Declaration], problems: Problems
) -> Preset:
    """The preset for a value of a parameter, which may set the parameters that stand `below` it."""
    if not isinstance(node, MappingNode):
        if not is_broken(node):
            problems.add(node.at, f"expected a mapping of parameters to values, received {describe(node)}")
        return {}
    preset = {}
    for name, entry in node.entries.items():
        if name not in declarations:
            hint = suggest(name, below, f"below {quote(parameter)} there are")
            problems.add(entry.at, f"the spec has no parameter {quote(name)}", hint)
        elif name not in below:
            above = f"stands above {quote(parameter)}, which" if name != parameter else "itself"
            message = f"{quote(name)} {above} chooses this preset"
            problems.add(entry.at, message, "a preset sets parameters that stand below the one that chooses it")
        elif has_expression(text_of(entry.value)) or declarations[name].accept(entry.value, problems):
            preset[name] = entry
    return preset
