"""Where a number of a block's instances stands, and numbers that stand for each axis or side."""

from __future__ import annotations

from dataclasses import dataclass

from netspec.lowering.blocks.kinds import SIZE, Kinds
from netspec.lowering.blocks.known import ABSENT, Vector
from netspec.lowering.python.source import LiteralValue


@dataclass(frozen=True, slots=True)
class Place:
    """Where a number stands.

    Attributes:
        member: in what is emitted for which member of the block.
        owner: what it is called if nothing else has a name for it: after this,
        role: and after the argument that it is; `size` of one without a name.
        kinds: of the argument.
        default: of the argument, where it has one.
        arriving: the hint that says how many channels the member receives, if it receives what the block does.
    """

    member: str
    owner: str
    role: str = "size"
    kinds: Kinds = SIZE
    default: LiteralValue = None
    arriving: str = ""


def spread(values: Vector) -> Vector:
    """Numbers that stand for each axis, or side, as tuples where some are: 2 beside (1, 4) is (2, 2)."""
    lengths = {len(value) for value in values if isinstance(value, tuple)}
    if len(lengths) != 1:
        return values
    (length,) = lengths
    whole = [(value,) * length if type(value) is int else value for value in values]
    columns = [
        spread(tuple(value[index] if isinstance(value, tuple) else ABSENT for value in whole))
        for index in range(length)
    ]
    return tuple(
        tuple(column[row] for column in columns) if isinstance(value, tuple) else value
        for row, value in enumerate(whole)
    )
