"""The forms of units: what is left of their statements without numbers, equal for units that can share code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from netspec.lowering.blocks.template import Signatures, Unit, signature_of
from netspec.lowering.python.rewrite import children_of, rename, with_children
from netspec.lowering.python.source import Call, Conditional, Expression, Literal
from netspec.lowering.python.statements import Statement

Form = tuple[Any, ...]


class Forms:
    """Computes the forms of units, and caches them.

    Args:
        signatures: returns the signature of a function or class that emitted source calls, by name.
    """

    def __init__(self, signatures: Signatures) -> None:
        self._signatures = signatures
        # By the identity of a unit. The cache holds the unit too, lest it is freed and another one gets its id.
        self._cache: dict[int, tuple[Unit, Form]] = {}

    def clear(self) -> None:
        """Empty the cache."""
        self._cache.clear()

    def of(self, unit: Unit, names: Mapping[str, str] | None = None) -> Form:
        """The form of a unit, with the variables that it reads renamed."""
        if names:
            return self._compute(replace(unit, run=tuple(rename(statement, names) for statement in unit.run)))
        if id(unit) not in self._cache:
            self._cache[id(unit)] = unit, self._compute(unit)
        return self._cache[id(unit)][1]

    def _compute(self, unit: Unit) -> Form:
        return tuple((_targets(s), self._form(s.value)) for s in (*unit.setup, *unit.run))

    def _form(self, expression: Expression) -> Any:
        """An expression without its numbers, and without optional arguments, which an instance may leave out."""
        match expression:
            case Literal(value):
                return "number" if isinstance(value, bool | int | float | tuple) else value
            case Call(function, args, kwargs):
                optional = signature_of(function, self._signatures).optional or {}
                named = tuple(sorted((k, self._form(v)) for k, v in kwargs if k not in optional))
                return self._form(function), tuple(map(self._form, args)), named
        if isinstance(expression, Conditional):
            expression = replace(expression, decided=False)
        children = children_of(expression)
        if not children:
            return expression
        # Its type and operator, with placeholders for its children, and then the forms of the children.
        return with_children(expression, [Literal(0)] * len(children)), *map(self._form, children)


def _targets(statement: Statement) -> object:
    return getattr(statement, "target", getattr(statement, "targets", ""))
