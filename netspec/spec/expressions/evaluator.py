"""The evaluation of a checked expression: items and parts of lists, and items of mappings, beside the operators."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from simpleeval import SimpleEval

from netspec.spec.expressions.hints import SIZES, hidden_by_a_parameter
from netspec.spec.expressions.operators import FUNCTIONS, OPERATORS, ExpressionError, in_words
from netspec.spec.text.document import quote
from netspec.spec.text.hints import did_you_mean


class Evaluator(SimpleEval):  # type: ignore[misc] # it ships no type information
    """simpleeval, restricted to items and parts of lists, and items of mappings by name; values have no attributes."""

    def __init__(self, names: Mapping[str, Any]) -> None:
        super().__init__(operators=OPERATORS, functions=FUNCTIONS, names=names)
        self.nodes |= {ast.Subscript: self._subscript, ast.Attribute: self._attribute}

    def _subscript(self, node: ast.Subscript) -> Any:
        value = self._eval(node.value)
        if isinstance(node.slice, ast.Slice):
            return self._part(node, value, node.slice)
        index = self._eval(node.slice)
        if isinstance(value, dict):
            return self._named(node, value, index)
        if not isinstance(value, tuple):
            raise ExpressionError(
                f"{quote(ast.unparse(node))} looks inside {in_words(value)}: only a list has positions"
            )
        index = _position(index)
        if not -len(value) <= index < len(value):
            raise ExpressionError(
                f"{quote(ast.unparse(node))}: the list has {len(value)} values, and none at {index}",
                "positions count from 0, -1 is the last",
            )
        return value[index]

    def _part(self, node: ast.Subscript, value: Any, part: ast.Slice) -> Any:
        if not isinstance(value, tuple):
            raise ExpressionError(f"{quote(ast.unparse(node))} is a part of {in_words(value)}: only a list has parts")
        if part.step is not None:
            raise ExpressionError(f"{quote(ast.unparse(node))} has a step", "a part of a list is `list[start:stop]`")
        bounds = [None if bound is None else _position(self._eval(bound)) for bound in (part.lower, part.upper)]
        return value[slice(*bounds)]

    def _attribute(self, node: ast.Attribute) -> Any:
        value = self._eval(node.value)
        if not isinstance(value, dict):
            # A parameter of the same name as an input or a layer hides the shape that was meant.
            hiding = node.value.id if isinstance(node.value, ast.Name) and node.attr in (*SIZES, "shape") else ""
            raise ExpressionError(
                f"{quote(ast.unparse(node))} looks inside {in_words(value)}: only a mapping has names",
                hidden_by_a_parameter(hiding) if hiding else "",
            )
        return self._named(node, value, node.attr)

    def _named(self, node: ast.expr, value: dict[str, Any], name: Any) -> Any:
        if name not in value:
            hint = did_you_mean(str(name), value) or f"it has {', '.join(value) or 'none'}"
            raise ExpressionError(f"{quote(ast.unparse(node))}: the mapping has no {quote(str(name))}", hint)
        return value[name]


def _position(index: Any) -> int:
    if isinstance(index, bool) or not isinstance(index, int):
        raise ExpressionError(f"a position in a list is a whole number, received {in_words(index)}")
    return index
