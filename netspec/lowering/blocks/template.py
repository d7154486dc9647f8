"""What is emitted for one instance of a block, and what several instances share of it.

A backend emits units, which make an instance a draft; `generalize` makes a template of those that are alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from netspec.lowering.blocks.kinds import Kinds, kinds_of
from netspec.lowering.blocks.known import Given
from netspec.lowering.blocks.parameters import Parameter
from netspec.lowering.python.source import Assign, Expression, LiteralValue, Statement


@dataclass(frozen=True, slots=True)
class Signature:
    """What a function or class takes.

    Attributes:
        positional: the names of its positional arguments.
        optional: the defaults of optional ones.
        kinds: the kinds of those whose names do not tell it.
        together: what all positional arguments are, where they are numbers that may be given as one tuple as well.
    """

    positional: tuple[str, ...] = ()
    optional: Mapping[str, LiteralValue] | None = None
    kinds: Mapping[str, Kinds] | None = None
    together: str = ""

    def kinds_of(self, argument: str) -> Kinds:
        """The kinds of what is given for an argument."""
        return (self.kinds or {}).get(argument) or kinds_of(argument)


@dataclass(frozen=True, slots=True)
class Unit:
    """What is emitted for one member of a part.

    Attributes:
        name: the member's, within its part.
        setup: statements that make its layers.
        run: statements that compute its values; numbers of both may differ between instances.
        passes: the variables that it reads and gives, where an instance without it passes the one on as the other.
        pads: the member whose padding it is, if it is no more.
        merges: the variables that it reads, if several, and the one that it gives; without it one of them is passed on.
    """

    name: str
    setup: tuple[Assign, ...]
    run: tuple[Statement, ...]
    passes: tuple[str, str] | None = None
    pads: str = ""
    merges: tuple[tuple[str, ...], str] | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """What is emitted for an instance.

    Attributes:
        results: the variables of its outputs.
        given: what may name its numbers.
    """

    units: tuple[Unit, ...]
    results: tuple[str, ...]
    given: Given


@dataclass(frozen=True, slots=True)
class Template:
    """What instances share: their units, with parameters, and what each of them gives for those.

    Attributes:
        computed: numbers that are computed from parameters, by name, each from those before.
        fullest: the position of an instance that has all the units.
        joined: variables that are called as another one, since some instances pass that on.
    """

    units: tuple[Unit, ...]
    parameters: tuple[Parameter, ...] = ()
    computed: tuple[tuple[str, Expression], ...] = ()
    fullest: int = 0
    joined: Mapping[str, str] = field(default_factory=dict)

    def join(self, names: Mapping[str, str]) -> dict[str, str]:
        """What variables are called in source, those that are joined as what they are joined to."""
        called = dict(names)
        for target, source in self.joined.items():
            called[target] = called[source]
        return called

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters, and what is computed from them."""
        return (*(parameter.name for parameter in self.parameters), *(name for name, _ in self.computed))

    @property
    def signature(self) -> Signature:
        """What a class or function takes that has these parameters."""
        required = tuple(p.name for p in self.parameters if p.default is None)
        optional = {p.name: p.default for p in self.parameters if p.default is not None}
        return Signature(required, optional, {p.name: p.kinds for p in self.parameters})

    def arguments(self, instance: int) -> tuple[tuple[LiteralValue, ...], dict[str, LiteralValue]]:
        """What an instance gives, in order, and by name where it is not the default."""
        given = [(p, p.values[instance]) for p in self.parameters]
        required = tuple(value for p, value in given if p.default is None)
        return required, {p.name: value for p, value in given if p.default is not None and value != p.default}


Signatures = Callable[[str], Signature]
