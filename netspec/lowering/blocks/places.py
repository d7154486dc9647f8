"""The place of a number in the source of a block, and the expansion of numbers to one for each axis or side."""

from __future__ import annotations

from dataclasses import dataclass

from netspec.lowering.blocks.kinds import SIZE, Kinds
from netspec.lowering.blocks.known import ABSENT, Vector
from netspec.lowering.python.source import LiteralValue


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a number in the source of a block.

    Attributes:
        member: the member of the block whose source contains the number.
        owner: the first part of the name of a new parameter, `{owner}_{role}`.
        role: the name of the argument; `size` if it has none.
        kinds: the kinds of the argument.
        default: the default of the argument, if it has one.
        input_channels: the hint with the channels of the member's input, if the member reads an input of the block.
        reads: the name of the value that the member reads first, if another member computes it.
    """

    member: str
    owner: str
    role: str = "size"
    kinds: Kinds = SIZE
    default: LiteralValue = None
    input_channels: str = ""
    reads: str = ""


def spread(values: Vector) -> Vector:
    """Expand ints to tuples if other values are tuples: 2 beside (1, 4) becomes (2, 2)."""
    lengths = {len(value) for value in values if isinstance(value, tuple)}
    if len(lengths) != 1:
        return values
    (length,) = lengths
    tuples = [(value,) * length if type(value) is int else value for value in values]
    columns = [
        spread(tuple(value[index] if isinstance(value, tuple) else ABSENT for value in tuples))
        for index in range(length)
    ]
    return tuple(
        tuple(column[row] for column in columns) if isinstance(value, tuple) else value
        for row, value in enumerate(tuples)
    )
