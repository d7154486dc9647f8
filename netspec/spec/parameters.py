"""Parameters, and the document with every `${…}` replaced by its value."""

from __future__ import annotations

import keyword
import math
import re

from netspec.spec.document import (
    BROKEN,
    DocumentNode,
    Entry,
    MappingNode,
    Problems,
    ScalarNode,
    SequenceNode,
    describe,
    is_broken,
    quote,
)
from netspec.spec.expression import FUNCTIONS, ExpressionError, Value, evaluate_text, has_expression

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
MAX_NAME = 100


def name_problem(name: str) -> str:
    """Why a name of the spec cannot be an identifier of emitted source, or empty."""
    if not _NAME.fullmatch(name):
        return "expected letters of A to Z, digits and _, beginning with a letter"
    if keyword.iskeyword(name):
        return "Python reserves this word"
    if len(name) > MAX_NAME:
        return f"expected at most {MAX_NAME} characters"
    return ""


def read_parameters(node: DocumentNode | None, problems: Problems) -> dict[str, Value]:
    """The values of `parameters:`, each able to use those above it."""
    values: dict[str, Value] = {}
    if node is None:
        return values
    if not isinstance(node, MappingNode):
        problems.add(node.at, f"expected a mapping of names to values, received {describe(node)}")
        return values
    for name, entry in node.entries.items():
        if wrong := name_problem(name) or (name in FUNCTIONS and "expressions have a function of this name"):
            problems.add(entry.at, f"{quote(name)} cannot name a parameter: {wrong}")
        value = _Substitution(values, problems, set(node.entries) - set(values), later=True).apply(entry.value)
        if isinstance(value, ScalarNode) and isinstance(value.value, str | int | float | bool):
            if isinstance(value.value, float) and not math.isfinite(value.value):
                problems.add(value.at, f"expected a finite number, received {describe(value)}")
            else:
                values[name] = value.value
        elif not is_broken(value):
            problems.add(value.at, f"expected a number, a boolean or a string, received {describe(value)}")
    return values


def substitute(document: MappingNode, values: dict[str, Value], known: set[str], problems: Problems) -> MappingNode:
    """The document with its expressions evaluated; `parameters` and `extends` stay as they are.

    `known` are all names under `parameters`: one that is itself wrong was reported there, once.
    """
    substitution = _Substitution(values, problems, known - set(values))
    entries = {
        key: entry if key in ("parameters", "extends") else Entry(entry.at, substitution.apply(entry.value))
        for key, entry in document.entries.items()
    }
    return MappingNode(entries, document.at)


class _Substitution:
    def __init__(
        self, values: dict[str, Value], problems: Problems, without_value: set[str], *, later: bool = False
    ) -> None:
        self._values = values
        self._problems = problems
        self._without_value = without_value
        self._later = later

    def apply(self, node: DocumentNode) -> DocumentNode:
        """The value with its expressions evaluated; the same object where it has none."""
        if isinstance(node, ScalarNode):
            is_text = isinstance(node.value, str) and has_expression(node.value)
            return self._evaluate(node, str(node.value)) if is_text else node
        if isinstance(node, SequenceNode):
            items = tuple(self.apply(item) for item in node.items)
            changed = any(new is not old for new, old in zip(items, node.items, strict=True))
            return SequenceNode(items, node.at) if changed else node
        values = {key: self.apply(entry.value) for key, entry in node.entries.items()}
        if all(values[key] is entry.value for key, entry in node.entries.items()):
            return node
        entries = {key: Entry(entry.at, values[key]) for key, entry in node.entries.items()}
        return MappingNode(entries, node.at)

    def _evaluate(self, node: ScalarNode, text: str) -> ScalarNode:
        try:
            return ScalarNode(evaluate_text(text, self._values), node.at, text)
        except ExpressionError as error:
            if error.undefined not in self._without_value:
                self._problems.add(node.at, error.message, error.hint)
            elif self._later and not self._problems.is_known(node.at):
                message = f"{quote(error.undefined)} has no value yet"
                self._problems.add(node.at, message, "a parameter sees those that stand above it")
            return ScalarNode(BROKEN, node.at)
