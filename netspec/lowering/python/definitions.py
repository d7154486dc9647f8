"""The definitions of emitted Python source: functions, classes and the module, over `statements`."""

from __future__ import annotations

from dataclasses import dataclass

from netspec.lowering.python.source import Name
from netspec.lowering.python.statements import For, If, Statement


@dataclass(frozen=True, slots=True)
class Function:
    """A function; `parameters`, such as `x: Tensor`, and `returns`, such as `Tensor | None`, are source text."""

    name: str
    parameters: tuple[str, ...]
    body: tuple[Statement | For | If, ...]
    returns: str = ""
    docstring: str = ""

    def __post_init__(self) -> None:
        for identifier in (self.name, *(parameter.partition(":")[0] for parameter in self.parameters)):
            Name(identifier)


@dataclass(frozen=True, slots=True)
class Class:
    """A class with methods."""

    name: str
    base: str
    docstring: str
    body: tuple[Function, ...]

    def __post_init__(self) -> None:
        Name(self.name)


@dataclass(frozen=True, slots=True)
class Verbatim:
    """The source of a support module, written by hand and copied verbatim."""

    text: str


Definition = Function | Class | Verbatim


@dataclass(frozen=True, slots=True)
class Module:
    """A source file: docstring, groups of import lines, definitions."""

    docstring: str
    imports: tuple[tuple[str, ...], ...]
    body: tuple[Definition, ...]
