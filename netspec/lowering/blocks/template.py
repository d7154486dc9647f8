"""The source of one instance of a block (a draft), and the source that several instances share (a template).

A backend emits a unit for each member of an instance; the units make up a draft. `generalize` derives a template from
drafts that differ in their numbers only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from netspec.lowering.blocks.kinds import Kinds, kinds_of
from netspec.lowering.blocks.known import Given
from netspec.lowering.blocks.parameter import Parameter
from netspec.lowering.python.rewrite import names_in
from netspec.lowering.python.source import Attribute, Expression, LiteralValue, Name
from netspec.lowering.python.statements import Assign, Statement

MARK: Final = "_value_"  # the prefix of provisional variables; no name in a spec begins with an underscore


@dataclass(frozen=True, slots=True)
class Signature:
    """The signature of a function or class.

    Attributes:
        positional: the names of its positional arguments.
        optional: the defaults of its optional arguments.
        kinds: the kinds of arguments whose names do not tell them.
        together: the common name of all positional arguments, if they are numbers that may be passed as one tuple.
    """

    positional: tuple[str, ...] = ()
    optional: Mapping[str, LiteralValue] | None = None
    kinds: Mapping[str, Kinds] | None = None
    together: str = ""

    def kinds_of(self, argument: str) -> Kinds:
        """The kinds of an argument."""
        return (self.kinds or {}).get(argument) or kinds_of(argument)


@dataclass(frozen=True, slots=True)
class Unit:
    """The source of one member of a part. Its numbers may differ between instances.

    Attributes:
        name: the member's name within its part.
        setup: statements that create its layers.
        run: statements that compute its outputs.
        passes: its input and output variable, if it has one of each: an instance without the member passes the input on
            as the output.
        pads: the member that it pads for, if that is all it does.
        merges: its input variables, if several, and its output variable: an instance without the member passes one of
            the inputs on.
    """

    name: str
    setup: tuple[Assign, ...]
    run: tuple[Statement, ...]
    passes: tuple[str, str] | None = None
    pads: str = ""
    merges: tuple[tuple[str, ...], str] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether the statements of another member compute this one."""
        return not self.setup and not self.run


@dataclass(frozen=True, slots=True)
class Draft:
    """The source of one instance.

    Attributes:
        units: the units of its members, in order.
        results: the variables of its outputs.
        given: the arguments of the instance, after which its numbers may be named.
        inputs: the variables of its inputs; the same one for inputs that have the same value.
    """

    units: tuple[Unit, ...]
    results: tuple[str, ...]
    given: Given
    inputs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Template:
    """The source that several instances share, with parameters for what differs between them.

    Attributes:
        units: the units, whose expressions read the parameters.
        results: the variables of the outputs.
        parameters: the parameters, with the values that each instance passes.
        computed: further names and the expressions that compute them from parameters and earlier names.
        fullest: the index of an instance that has all the units.
        joined: variables that share the name of another one, which some instances pass on in their place.
        is_mixed: whether its variables are not those of any instance.
    """

    units: tuple[Unit, ...]
    results: tuple[str, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    computed: tuple[tuple[str, Expression], ...] = ()
    fullest: int = 0
    joined: Mapping[str, str] = field(default_factory=dict)
    is_mixed: bool = False

    def join(self, names: Mapping[str, str]) -> dict[str, str]:
        """The names of variables in source, where joined variables share the name of the other one."""
        joined = dict(names)
        for target, source in self.joined.items():
            joined[target] = joined[source]
        return joined

    @property
    def setup(self) -> tuple[Assign, ...]:
        """The statements that create the layers of all units."""
        return tuple(statement for unit in self.units for statement in unit.setup)

    @property
    def run(self) -> tuple[Statement, ...]:
        """The statements that compute the outputs of all units."""
        return tuple(statement for unit in self.units for statement in unit.run)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parameters, and of what is computed from them."""
        return (*(parameter.name for parameter in self.parameters), *(name for name, _ in self.computed))

    @property
    def signature(self) -> Signature:
        """The signature of a class or function with these parameters."""
        required = tuple(p.name for p in self.parameters if p.default is None)
        optional = {p.name: p.default for p in self.parameters if p.default is not None}
        return Signature(required, optional, {p.name: p.kinds for p in self.parameters})

    def arguments(self, instance: int) -> tuple[tuple[LiteralValue, ...], dict[str, LiteralValue]]:
        """The arguments of an instance: positional ones, and keyword ones that differ from their defaults."""
        values = [(p, p.values[instance]) for p in self.parameters]
        required = tuple(value for p, value in values if p.default is None)
        return required, {p.name: value for p, value in values if p.default is not None and value != p.default}


def variable_of(local: str) -> str:
    """The provisional variable of a member; distinct for distinct names, with any suffix too."""
    return f"{MARK}_{local.replace('_', '__').replace('.', '_p')}"


def member_in(variable: str) -> str:
    """The name of the member that a provisional variable is named after, as `variable_of` does; empty if there is none.

    >>> member_in(variable_of("conv_1.sum")), member_in(f"{variable_of('conv')}_0"), member_in("_value_in_stack_0_0")
    ('conv_1.sum', 'conv_0', '')
    """
    escaped = variable.removeprefix(f"{MARK}_")
    if escaped == variable:
        return ""
    return re.sub("__|_p", lambda found: "_" if found[0] == "__" else ".", escaped)


def variables_in(statement: Statement) -> Iterator[str]:
    """The provisional variables that a statement reads, in order."""
    return (name for name in names_in(statement.value) if name.startswith(MARK))


def merges_in(run: Sequence[Statement]) -> tuple[tuple[str, ...], str] | None:
    """The inputs and the output of a merge: a single assignment that reads several variables; else None."""
    if len(run) == 1 and isinstance(run[0], Assign):
        read = tuple(dict.fromkeys(variables_in(run[0])))
        if len(read) > 1:
            return read, run[0].target
    return None


Signatures = Callable[[str], Signature]


def signature_of(function: Expression, signatures: Signatures) -> Signature:
    """The signature of a called expression: of a function or class, or of a method by its name alone, `.permute`."""
    match function:
        case Name(path):
            return signatures(path)
        case Attribute(_, method):
            return signatures(f".{method}")
    return Signature()
