"""A parameter of a class or function that several instances of a block share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from netspec.lowering.blocks.kinds import ANY, Kinds
from netspec.lowering.blocks.known import Vector
from netspec.lowering.python.source import LiteralValue

MOST_AXES: Final = 6  # the longest tuple whose items are annotated one by one; those of longer ones are data


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
        items = [_annotation(item) for item in value]
        if len(items) > MOST_AXES and len(set(items)) == 1:
            return f"tuple[{items[0]}, ...]"
        return f"tuple[{', '.join(items)}]"
    return "None" if value is None else type(value).__name__
