"""`presets:`, by parameter: each of its values that are listed there chooses the values of others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from netspec.spec.declarations import Declaration
from netspec.spec.document import (
    BROKEN,
    DocumentNode,
    Entry,
    MappingNode,
    Problems,
    ScalarNode,
    describe,
    is_broken,
    plain,
    quote,
)
from netspec.spec.expression import has_expression
from netspec.spec.hints import did_you_mean, suggest

Chosen = Mapping[str, Entry]


class Presets(NamedTuple):
    """The sets of values by the parameter that chooses, and by the text of its value."""

    by_parameter: Mapping[str, Mapping[str, Chosen]]

    def choose(self, parameter: str, node: DocumentNode, problems: Problems) -> Chosen:
        """What the value of a parameter says of others; all are broken after a problem."""
        sets = self.by_parameter.get(parameter, {})
        if not sets:
            return {}
        text = _text(plain(node))
        if not is_broken(node) and text in sets:
            return sets[text]
        if not is_broken(node):
            known = f"there are {', '.join(sets)}"
            message = f"no preset of {quote(parameter)} is for {describe(node)}"
            problems.add(node.at, message, did_you_mean(text, sets) or known)
        return {name: Entry(node.at, ScalarNode(BROKEN, node.at)) for chosen in sets.values() for name in chosen}


def _text(value: object) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


def read_presets(node: DocumentNode | None, declarations: Mapping[str, Declaration], problems: Problems) -> Presets:
    """All the sets, each value checked against its parameter whether or not it is chosen."""
    if node is None:
        return Presets({})
    if not isinstance(node, MappingNode):
        hint = "for example `{depth: {18: {width: 64}, 34: {width: 128}}}`"
        problems.add(node.at, f"expected a mapping of parameters to presets, received {describe(node)}", hint)
        return Presets({})
    found: dict[str, dict[str, Chosen]] = {}
    order = list(declarations)
    for parameter, entry in node.entries.items():
        if parameter not in declarations:
            hint = suggest(parameter, declarations, "it defines")
            problems.add(entry.at, f"the spec has no parameter {quote(parameter)} that could choose a preset", hint)
        elif isinstance(entry.value, MappingNode):
            below = order[order.index(parameter) + 1 :]
            _refuse_impossible(declarations[parameter], entry.value, problems)
            found[parameter] = {
                value: _read_set(parameter, chosen, below, declarations, problems)
                for value, chosen in entry.value.entries.items()
            }
        elif not is_broken(entry.value):
            message = f"expected a mapping of values of {quote(parameter)} to presets"
            problems.add(entry.value.at, f"{message}, received {describe(entry.value)}")
    return Presets(found)


def _refuse_impossible(declaration: Declaration, sets: MappingNode, problems: Problems) -> None:
    """Report the presets of values that are not among the parameter's choices.

    Those of a file whose choices another narrows, in extending it, stand: they choose what is no longer a choice.
    """
    possible = [_text(choice) for choice in declaration.choices]
    for value, entry in sets.entries.items():
        own = entry.at.source.file == declaration.at.source.file
        if possible and own and value not in possible:
            message = f"{quote(declaration.name)} is never {value}: it is {declaration.expected}"
            problems.add(entry.at, message, did_you_mean(value, possible))


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
            message = f"{quote(name)} stands above {quote(parameter)}, which chooses this preset"
            problems.add(entry.at, message, "a preset sets parameters that stand below the one that chooses it")
        elif _holds_expression(entry.value) or declarations[name].accept(entry.value, problems):
            found[name] = entry
    return found


def _holds_expression(node: DocumentNode) -> bool:
    value = plain(node)
    return isinstance(value, str) and has_expression(value)
