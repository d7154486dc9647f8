"""`presets:`, by parameter: each of its values that are listed there chooses the values of others."""

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
from netspec.spec.text.scalars import lookalike, resolve_scalar, scalar_text

Chosen = Mapping[str, Entry]
Identity = tuple[str, object]


class Presets(NamedTuple):
    """The sets of values by the parameter that chooses, and by its value, with the text of that."""

    by_parameter: Mapping[str, Mapping[Identity, tuple[str, Chosen]]]

    def choose(self, parameter: str, node: DocumentNode, problems: Problems) -> Chosen:
        """What the value of a parameter says of others; all are broken after a problem."""
        sets = self.by_parameter.get(parameter, {})
        if not sets:
            return {}
        value = plain(node)
        if not is_broken(node) and identity_of(value) in sets:
            return sets[identity_of(value)][1]
        if not is_broken(node):
            texts = [text for text, _ in sets.values()]
            message = f"no preset of {quote(parameter)} is for {describe(node)}"
            problems.add(node.at, message, _otherwise(value, texts) or f"there are {', '.join(texts)}")
        return {name: Entry(node.at, ScalarNode(BROKEN, node.at)) for _, chosen in sets.values() for name in chosen}


def _otherwise(value: object, texts: Sequence[str]) -> str:
    """How the value of a preset is scalar_text that was probably meant."""
    text = scalar_text(value)
    if text in texts:  # of another type
        return (lookalike(text) if isinstance(value, str) else "") or f'in quotes it is a string: `"{text}"`'
    return did_you_mean(text, texts)


def _value(key: str, at: Position) -> object:
    """What the key of a preset is: in quotes a string, else as any scalar."""
    line = at.source.lines[at.line] if at.line < len(at.source.lines) else ""
    try:
        return key if line[at.column : at.column + 1] in {'"', "'"} else resolve_scalar(key)
    except ValueError:
        return key  # reported by the reader


def read_presets(node: DocumentNode | None, declarations: Mapping[str, Declaration], problems: Problems) -> Presets:
    """All the sets, each value checked against its parameter whether or not it is chosen."""
    if node is None:
        return Presets({})
    if not isinstance(node, MappingNode):
        hint = "for example `{depth: {18: {width: 64}, 34: {width: 128}}}`"
        problems.add(node.at, f"expected a mapping of parameters to presets, received {describe(node)}", hint)
        return Presets({})
    found: dict[str, dict[Identity, tuple[str, Chosen]]] = {}
    order = list(declarations)
    for parameter, entry in node.entries.items():
        if problems.is_known(entry.at):
            continue
        if parameter not in declarations:
            hint = suggest(parameter, declarations, "it defines")
            problems.add(entry.at, f"the spec has no parameter {quote(parameter)} that could choose a preset", hint)
        elif isinstance(entry.value, MappingNode):
            below = order[order.index(parameter) + 1 :]
            _refuse_impossible(declarations[parameter], entry.value, problems)
            found[parameter] = {
                identity_of(_value(key, chosen.at)): (
                    key,
                    _read_set(parameter, chosen, below, declarations, problems),
                )
                for key, chosen in entry.value.entries.items()
            }
        elif not is_broken(entry.value):
            message = f"expected a mapping of values of {quote(parameter)} to presets"
            problems.add(entry.value.at, f"{message}, received {describe(entry.value)}")
    return Presets(found)


def _refuse_impossible(declaration: Declaration, sets: MappingNode, problems: Problems) -> None:
    """Report the presets of values that are not among the parameter's choices, or of another type than the others are.

    Those of a file whose choices another narrows, in extending it, stand: they choose what is no longer a choice.
    """
    possible = [identity_of(choice) for choice in declaration.choices]
    values = {key: _value(key, entry.at) for key, entry in sets.entries.items()}
    unlike = [key for key, value in values.items() if unlike_type(value, declaration.type)]
    if len(unlike) == len(values):
        unlike = []  # no preset for what the parameter is: that is reported at its value
    for key, entry in sets.entries.items():
        own = entry.at.source.order <= declaration.at.source.order
        if own and (identity_of(values[key]) not in possible if possible else key in unlike):
            message = f"{quote(declaration.name)} is never {_shown(key, values[key])}: it is {declaration.expected}"
            hint = _otherwise(values[key], list(map(scalar_text, declaration.choices)))
            problems.add(entry.at, message, hint or (lookalike(key) if isinstance(values[key], str) else ""))


def _shown(key: str, value: object) -> str:
    return quote(key) if isinstance(value, str) and (lookalike(key) or not key) else key


def _read_set(
    parameter: str, chosen: Entry, below: list[str], declarations: Mapping[str, Declaration], problems: Problems
) -> Chosen:
    node = chosen.value
    if not isinstance(node, MappingNode):
        if not is_broken(node):
            problems.add(node.at, f"expected a mapping of parameters to values, received {describe(node)}")
        return {}
    found = {}
    for name, entry in node.entries.items():
        if name not in declarations:
            hint = suggest(name, below, f"below {quote(parameter)} there are")
            problems.add(entry.at, f"the spec has no parameter {quote(name)}", hint)
        elif name not in below:
            above = f"stands above {quote(parameter)}, which" if name != parameter else "itself"
            message = f"{quote(name)} {above} chooses this preset"
            problems.add(entry.at, message, "a preset sets parameters that stand below the one that chooses it")
        elif has_expression(text_of(entry.value)) or declarations[name].accept(entry.value, problems):
            found[name] = entry
    return found
