"""A parameter of a class or function that several instances of a block share."""

from __future__ import annotations

from dataclasses import dataclass

from netspec.lowering.blocks.kinds import ANY, Kinds
from netspec.lowering.blocks.known import Vector
from netspec.lowering.python.source import LiteralValue


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a class or function, with its value in each instance; `default` is None if it is required."""

    name: str
    values: Vector
    default: LiteralValue = None
    kinds: Kinds = ANY

    @property
    def annotation(self) -> str:
        """The type annotation that covers the values and the default."""
        kinds = {_annotation(value) for value in (*self.values, *([] if self.default is None else [self.default]))}
        if kinds == {"int", "float"}:
            return "float"
        return " | ".join(sorted(kinds))


def _annotation(value: object) -> str:
    """The type annotation of a value."""
    if isinstance(value, tuple):
        return f"tuple[{', '.join(_annotation(item) for item in value)}]"
    return "None" if value is None else type(value).__name__
