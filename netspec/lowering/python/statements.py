"""The statements of emitted Python source, over the expressions of `source`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netspec.lowering.python.source import Expression, Name, TupleOf


@dataclass(frozen=True, slots=True)
class Assign:
    """`target = value  # comment`; the target is a dotted name."""

    target: str
    value: Expression
    comment: str = ""

    def __post_init__(self) -> None:
        Name(self.target)


@dataclass(frozen=True, slots=True)
class Unpack:
    """`first, second = value`."""

    targets: tuple[str, ...]
    value: Expression

    def __post_init__(self) -> None:
        for target in self.targets:
            Name(target)


@dataclass(frozen=True, slots=True)
class Return:
    """`return value`."""

    value: Expression


@dataclass(frozen=True, slots=True)
class Do:
    """An expression statement."""

    value: Expression


@dataclass(frozen=True, slots=True)
class For:
    """`for target in iterable:` with its body."""

    target: Expression
    iterable: Expression
    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class If:
    """`if test:` with its body."""

    test: Expression
    body: tuple[Statement | For, ...]


Statement = Assign | Unpack | Return | Do


def returned(values: Sequence[Expression]) -> Return:
    """The statement that returns a value, or several as a tuple.

    >>> returned([Name("x")]), returned([Name("x"), Name("y")]).value
    (Return(value=Name(path='x')), TupleOf(items=(Name(path='x'), Name(path='y'))))
    """
    return Return(values[0] if len(values) == 1 else TupleOf(tuple(values)))
