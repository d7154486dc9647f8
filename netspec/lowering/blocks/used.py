"""The names that a class or function of several instances uses: its parameters, and what is computed from them."""

from __future__ import annotations

import itertools
from collections.abc import Collection

from netspec.lowering.blocks.kinds import Kinds
from netspec.lowering.blocks.known import Known, Vector, names_of
from netspec.lowering.blocks.parameter import Parameter
from netspec.lowering.python.source import Expression, LiteralValue, Name


class UsedNames:
    """Collects the names that shared expressions use.

    Args:
        known: the names of the spec.
        reserved: names that no parameter may have.

    Attributes:
        values: the values of each parameter.
        kinds: the kinds of number that each name may stand for.
        flags: the names that say whether members are present, and their values.
    """

    def __init__(self, known: Known, reserved: Collection[str]) -> None:
        self._known, self._reserved = known, reserved
        self.values: dict[str, Vector] = {}
        self.kinds = dict(known.kinds)
        self.flags: dict[str, Vector] = {}
        self._defaults: dict[str, list[LiteralValue]] = {}  # of the arguments that each parameter is passed for
        self._computed: dict[str, Expression] = {}

    def parameters(self) -> tuple[Parameter, ...]:
        """The parameters: required ones first, the channels of the input before others, then in the spec's order."""
        parameters = [Parameter(name, v, self._default(name), self.kinds[name]) for name, v in self.values.items()]
        first = self._known.input_channels
        of_spec = [name for name in self._known.vectors if name in self.values]

        def order(parameter: Parameter) -> tuple[bool, bool, bool, int]:
            name, default = parameter.name, parameter.default
            position = of_spec.index(name) if name in of_spec else len(of_spec)
            return default is not None, name != first, isinstance(default, bool), position

        return tuple(sorted(parameters, key=order))

    def _default(self, name: str) -> LiteralValue:
        """The spec's default of a parameter, else the common default of the arguments that it is passed for."""
        if name in self._known.defaults:
            return self._known.defaults[name]
        defaults = self._defaults[name]
        default = defaults[0] if all(d == defaults[0] for d in defaults) else None
        values = self.values[name]
        if isinstance(default, bool) and name in self.flags:
            return max((False, True), key=values.count)  # the most frequent value
        if default is not None and default not in values:
            default = max(dict.fromkeys(values), key=values.count)  # no instance has the argument's default
        if default is None and all(isinstance(value, bool) for value in values):
            return False  # an instance passes a switch by keyword, to turn it on
        return default

    def names(self) -> frozenset[str]:
        """The names of the parameters and of what is computed from them."""
        return frozenset((*self.values, *self._computed))

    def computed(self) -> tuple[tuple[str, Expression], ...]:
        """Names that are computed first, with their expressions over parameters and earlier names."""
        return tuple(self._computed.items())

    def commit(self, expression: Expression, default: LiteralValue = None) -> Expression:
        """Mark the names of an expression as used, and return it.

        Args:
            expression: an expression over known names.
            default: the default of the argument that it is passed for, if it has one.
        """
        for name in names_of(expression):
            vector = self.values.get(name, self._known.vectors.get(name, ()))
            self.add(name, vector, default if isinstance(expression, Name) else None, self.kinds[name])
        return expression

    def add(self, name: str, values: Vector, default: LiteralValue, kinds: Kinds) -> Name:
        """Mark a name as used. It is computed if all instances have the spec's default; else it is a parameter."""
        if name not in self._computed and (source := self._known.sources.get(name)) is not None:
            self.compute(name, source)
        if name not in self._computed:
            self.values.setdefault(name, values)
            self.kinds.setdefault(name, kinds)
            self._defaults.setdefault(name, []).append(default)
        return Name(name)

    def compute(self, name: str, expression: Expression) -> None:
        """Compute a name by an expression, whose own names are then used."""
        self._computed[name] = self.commit(expression)

    def free(self, wanted: str) -> str:
        """The name, with a number appended if it is taken."""
        while wanted in self._reserved:
            wanted += "_"
        taken = {*self._reserved, *self.values, *self._computed, *self._known.vectors}
        names = (wanted if count == 1 else f"{wanted}_{count}" for count in itertools.count(1))
        return next(name for name in names if name not in taken)
