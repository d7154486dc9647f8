"""The values of a spec's parameters, and the document with every `${…}` replaced by its value."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

from netspec.spec.expressions.expression import (
    UNKNOWN,
    ExpressionError,
    Names,
    Unknown,
    UnknownValueError,
    Value,
    evaluate_text,
    has_expression,
    names_in,
)
from netspec.spec.parameters.declarations import Declaration, read_declarations
from netspec.spec.parameters.presets import read_presets
from netspec.spec.text.document import (
    BROKEN,
    DocumentNode,
    Entry,
    MappingNode,
    Position,
    Problems,
    ScalarNode,
    SequenceNode,
    describe,
    plain,
    quote,
    scalars_in,
    text_of,
)

# Where expressions are not evaluated with the document: where they see more names, or are none.
_LATER = ("parameters", "presets", "extends", "blocks", "layers")


def read_parameters(
    node: DocumentNode | None, presets: DocumentNode | None, problems: Problems
) -> dict[str, Value | Unknown]:
    """The values of `parameters:`, each able to use those above it: what is given, what a preset says, the default.

    One that is wrong, which is reported here, is `UNKNOWN`.
    """
    declarations = read_declarations(node, problems)
    sets = read_presets(presets, declarations, problems)
    values: dict[str, Value | Unknown] = {}
    chosen: dict[str, Entry] = {}
    for name, declaration in declarations.items():
        stated = declaration.given or (chosen[name].value if name in chosen else declaration.default)
        if stated is None:
            hint = f"give it one: `--set {name}=…`, or a `default`"
            problems.add(declaration.at, f"the parameter {quote(name)} has no value", hint)
            values[name] = UNKNOWN
            continue
        evaluated = Substitution(values, problems, later=declarations.keys()).apply(stated)
        values[name] = value_of(evaluated, declaration, problems)
        chosen |= sets.choose(name, evaluated if values[name] is not UNKNOWN else _reported(evaluated), problems)
        if problems.is_known(evaluated.at):  # there is no preset for it
            values[name] = UNKNOWN
    return values


def _reported(node: DocumentNode) -> DocumentNode:
    return ScalarNode(BROKEN, node.at)


def value_of(node: DocumentNode, declaration: Declaration, problems: Problems) -> Value | Unknown:
    """A value that a parameter may have, as expressions see it."""
    if isinstance(node, ScalarNode) and isinstance(node.value, float) and not math.isfinite(node.value):
        problems.add(node.at, f"expected a finite number, received {describe(node)}")
        return UNKNOWN
    if not declaration.accept(node, problems):
        return UNKNOWN
    value: Value = plain(node)
    return value


def substitute(document: MappingNode, values: Names, problems: Problems) -> MappingNode:
    """The document with its expressions evaluated, except in layers, blocks and definitions of parameters."""
    substitution = Substitution(values, problems)
    entries = {
        key: entry if key in _LATER else Entry(entry.at, substitution.apply(entry.value))
        for key, entry in document.entries.items()
    }
    return MappingNode(entries, document.at)


class Substitution:
    """Evaluates expressions in parts of a document.

    Args:
        names: what expressions see; one that needs an unknown value is not reported.
        problems: where those are recorded that are wrong.
        later: names that get their values only after this; names that have theirs may be among them.
        beside: layers, whose shapes are not seen here.
    """

    def __init__(
        self, names: Names, problems: Problems, later: Collection[str] = (), beside: Collection[str] = ()
    ) -> None:
        self._names = names
        self._problems = problems
        self._later = later
        self._beside = beside

    def apply(self, node: DocumentNode) -> DocumentNode:
        """The value with its expressions evaluated; the same object where it has none."""
        if isinstance(node, ScalarNode):
            text = text_of(node)
            return self._evaluate(node, text) if has_expression(text) else node
        if isinstance(node, SequenceNode):
            items = tuple(self.apply(item) for item in node.items)
            changed = any(new is not old for new, old in zip(items, node.items, strict=True))
            return SequenceNode(items, node.at) if changed else node
        return self.apply_entries(node)

    def apply_entries(self, node: MappingNode) -> MappingNode:
        """A mapping with the expressions in its values evaluated."""
        values = {key: self.apply(entry.value) for key, entry in node.entries.items()}
        if all(values[key] is entry.value for key, entry in node.entries.items()):
            return node
        entries = {key: Entry(entry.at, values[key]) for key, entry in node.entries.items()}
        return MappingNode(entries, node.at)

    def _evaluate(self, node: ScalarNode, text: str) -> DocumentNode:
        try:
            return node_of(evaluate_text(text, self._names), node.at, text)
        except UnknownValueError:
            pass
        except ExpressionError as error:
            if error.undefined in self._beside:
                message = f"{quote(error.undefined)} is a layer of this block, whose shape is not seen in it"
                self._problems.add(node.at, message, "an expression in a block sees the shapes of its inputs")
            elif error.undefined not in self._later:
                self._problems.add(node.at, error.message, error.hint)
            elif not self._problems.is_known(node.at):
                message = f"{quote(error.undefined)} has no value yet"
                self._problems.add(node.at, message, "a parameter sees those that stand above it")
        return ScalarNode(BROKEN, node.at)


def names_seen(node: DocumentNode) -> set[str]:
    """The names that the expressions of a value use."""
    texts = map(text_of, scalars_in(node))
    return {name for text in texts if has_expression(text) for name in names_in(text)}


def node_of(value: Value, at: Position, expression: str = "") -> DocumentNode:
    """A value as the document has it, all of it at one place."""
    if isinstance(value, tuple):
        return SequenceNode(tuple(node_of(item, at) for item in value), at)
    if isinstance(value, Mapping):
        return MappingNode({key: Entry(at, node_of(item, at)) for key, item in value.items()}, at)
    return ScalarNode(value, at, expression)
