"""A parameter of a class or function that several instances of a block share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from netspec.lowering.blocks.kinds import ANY, Kinds, list_depth
from netspec.lowering.blocks.known import Vector
from netspec.lowering.python.render_expressions import render_expression
from netspec.lowering.python.source import Literal, LiteralValue

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
        return _common((*self.values, *([] if self.default is None else [self.default])), list_depth(self.kinds))

    @property
    def declaration(self) -> str:
        """The parameter in a signature: `width: int`, `stride: int = 1`."""
        annotated = f"{self.name}: {self.annotation}"
        return annotated if self.default is None else f"{annotated} = {render_expression(Literal(self.default))}"


def _common(values: Iterable[object], depth: int) -> str:
    """The type annotation of several values; `depth` says how many tuples of any length are around them."""
    if depth:
        items = [item for value in values if isinstance(value, tuple) for item in value]
        return f"tuple[{_common(items, depth - 1)}, ...]"
    kinds = {*map(_annotation, values)}
    return "float" if kinds == {"int", "float"} else " | ".join(sorted(kinds))


def _annotation(value: object) -> str:
    """The type annotation of a value."""
    if isinstance(value, tuple):
        items = [_annotation(item) for item in value]
        if len(items) > MOST_AXES and len(set(items)) == 1:
            return f"tuple[{items[0]}, ...]"
        return f"tuple[{', '.join(items)}]"
    return "None" if value is None else type(value).__name__
