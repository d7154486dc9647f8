"""Evaluates the parameters of a spec, and replaces each `${…}` of its document by its value."""

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
from netspec.spec.expressions.operators import in_words
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

# Bounds of what expressions give, as lists may hold lists that expressions gave: of all values that those of one layer
# or parameter give, and of the levels of nesting in one.
MAX_VALUES = 100_000
MAX_DEPTH = 64

# Keys whose expressions are not evaluated with the document: they see more names, or are parameters themselves.
_LATER = ("parameters", "presets", "extends", "blocks", "layers")


def read_parameters(
    node: DocumentNode | None, presets: DocumentNode | None, problems: Problems
) -> dict[str, Value | Unknown]:
    """The values of the parameters. The expressions of a parameter see the parameters above it.

    A parameter has the value that it is given, else that of a preset, else its default. If its value is wrong, a
    problem is recorded and the value is `UNKNOWN`.
    """
    declarations = read_declarations(node, problems)
    before = len(problems)
    by_value = read_presets(presets, declarations, problems)
    all_presets_known = len(problems) == before  # else a wrong one may be what is to give a value
    values: dict[str, Value | Unknown] = {}
    preset: dict[str, Entry] = {}
    for name, declaration in declarations.items():
        stated = declaration.given or (preset[name].value if name in preset else declaration.default)
        if stated is None:
            if all_presets_known:
                hint = f"give it one: `--set {name}=…`, or a `default`"
                problems.add(declaration.at, f"the parameter {quote(name)} has no value", hint)
            values[name] = UNKNOWN
            preset |= by_value.choose(name, ScalarNode(BROKEN, declaration.at), problems)
            continue
        evaluated = Substitution(values, problems, later=declarations.keys()).apply(stated)
        values[name] = value_of(evaluated, declaration, problems, values)
        chooser = evaluated if values[name] is not UNKNOWN else ScalarNode(BROKEN, evaluated.at)
        preset |= by_value.choose(name, chooser, problems)
        if problems.is_known(evaluated.at):  # it has no preset
            values[name] = UNKNOWN
    return values


def value_of(
    node: DocumentNode, declaration: Declaration, problems: Problems, names: Collection[str] = ()
) -> Value | Unknown:
    """The value of a node, or `UNKNOWN` after a problem if the parameter cannot have it; for hints, what it sees."""
    if isinstance(node, ScalarNode) and isinstance(node.value, float) and not math.isfinite(node.value):
        problems.add(node.at, f"expected a finite number, received {describe(node)}")
        return UNKNOWN
    if not declaration.accept(node, problems, names):
        return UNKNOWN
    value: Value = plain(node)
    return value


def substitute(document: MappingNode, values: Names, problems: Problems) -> MappingNode:
    """The document with its expressions evaluated, except in layers, blocks, parameters and presets."""
    substitution = Substitution(values, problems)
    entries = {
        key: entry if key in _LATER else Entry(entry.at, substitution.apply(entry.value))
        for key, entry in document.entries.items()
    }
    return MappingNode(entries, document.at)


class Substitution:
    """Evaluates expressions in parts of a document. Those that need an unknown value become `BROKEN`.

    Args:
        names: values that expressions see, by name.
        problems: collects the problems of expressions.
        later: parameters that have no value yet, for a message of their own. Names with a value are ignored.
        beside: layers of the same block, whose shapes are not visible, for a message of their own.
    """

    def __init__(
        self, names: Names, problems: Problems, later: Collection[str] = (), beside: Collection[str] = ()
    ) -> None:
        self._names = names
        self._problems = problems
        self._later = later
        self._beside = beside
        self._count = 0  # of the values that its expressions gave

    def apply(self, node: DocumentNode) -> DocumentNode:
        """The node with its expressions evaluated; the same object if it has none."""
        if isinstance(node, ScalarNode):
            text = text_of(node)
            return self._evaluate(node, text) if has_expression(text) else node
        if isinstance(node, SequenceNode):
            items = tuple(self.apply(item) for item in node.items)
            changed = any(new is not old for new, old in zip(items, node.items, strict=True))
            return SequenceNode(items, node.at) if changed else node
        return self.apply_entries(node)

    def apply_entries(self, node: MappingNode) -> MappingNode:
        """The mapping with the expressions in its values evaluated; the same object if it has none."""
        values = {key: self.apply(entry.value) for key, entry in node.entries.items()}
        if all(values[key] is entry.value for key, entry in node.entries.items()):
            return node
        entries = {key: Entry(entry.at, values[key]) for key, entry in node.entries.items()}
        return MappingNode(entries, node.at)

    def _evaluate(self, node: ScalarNode, text: str) -> DocumentNode:
        try:
            return node_of(self._bounded(evaluate_text(text, self._names)), node.at, text)
        except UnknownValueError:
            pass
        except ExpressionError as error:
            if error.undefined in self._beside:
                message = f"{quote(error.undefined)} is a layer of this block: expressions do not see its shape"
                self._problems.add(node.at, message, "an expression in a block sees the shapes of its inputs")
            elif error.undefined not in self._later:
                self._problems.add(node.at, error.message, error.hint)
            elif not self._problems.is_known(node.at):
                message = f"{quote(error.undefined)} has no value yet"
                self._problems.add(node.at, message, "a parameter sees those that stand above it")
        return ScalarNode(BROKEN, node.at)

    def _bounded(self, value: Value) -> Value:
        """A value, if it is not too large together with those before it."""
        if self._count > MAX_VALUES:
            raise UnknownValueError  # which was reported
        self._count += _size(value)
        if self._count > MAX_VALUES:
            raise ExpressionError(f"expressions give {self._count:,} values here", f"at most {MAX_VALUES:,} are taken")
        return value


def _size(value: Value, levels: int = 1) -> int:
    """The number of values in a value at this level of nesting, itself included."""
    if not isinstance(value, tuple | dict):
        return 1
    if levels > MAX_DEPTH:
        raise ExpressionError(f"{in_words(value)} of more than {MAX_DEPTH} levels of nesting")
    return 1 + sum(_size(part, levels + 1) for part in (value.values() if isinstance(value, dict) else value))


def names_seen(node: DocumentNode) -> set[str]:
    """The names that the expressions below a node use."""
    texts = map(text_of, scalars_in(node))
    return {name for text in texts if has_expression(text) for name in names_in(text)}


def node_of(value: Value, at: Position, expression: str = "") -> DocumentNode:
    """The document node of a value, with all of its parts at one position."""
    if isinstance(value, tuple):
        return SequenceNode(tuple(node_of(item, at) for item in value), at)
    if isinstance(value, Mapping):
        return MappingNode({key: Entry(at, node_of(item, at)) for key, item in value.items()}, at)
    return ScalarNode(value, at, expression)
