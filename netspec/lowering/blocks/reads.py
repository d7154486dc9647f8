"""What a unit reads where instances differ in that: one variable that holds it in all of them, or a choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from netspec.lowering.blocks.conditions import Conditions, UntoldError
from netspec.lowering.blocks.template import Draft
from netspec.lowering.python.source import Expression, Name, conditional
from netspec.lowering.python.statements import Assign


class Reads:
    """Chooses the variables that the units of a group read.

    Args:
        fullest: the draft whose variables hold for all instances.
        passed: for each instance, the variables that it has instead of those of the fullest.
        conditions: finds the conditions, and marks their names as used.
    """

    def __init__(self, fullest: Draft, passed: Sequence[Mapping[str, str]], conditions: Conditions) -> None:
        self._passed, self._conditions = passed, conditions
        self._units = {
            statement.target: unit.name
            for unit in fullest.units
            for statement in unit.run
            if isinstance(statement, Assign)
        }

    def choose(self, names: Sequence[str | None], member: str) -> Expression:
        """The expression of what a member reads, where the instances read these; None for one that lacks the unit.

        Raises:
            UntoldError: there is a choice, and nothing in the spec tells it, or an instance lacks the unit.
        """
        candidates = list(dict.fromkeys(name for name in names if name is not None))
        for name in candidates:
            if all(self._holds(name, index, read) for index, read in enumerate(names)):
                return Name(name)
        if None in names:
            raise UntoldError
        chosen = [
            next(name for name in candidates if self._holds(name, index, read)) for index, read in enumerate(names)
        ]
        has = {name: tuple(name == each for each in chosen) for name in dict.fromkeys(chosen)}
        order = sorted(has, key=lambda name: not self._is_told(name, has[name], member))
        expression: Expression = Name(order.pop())
        for name in reversed(order):
            if not self._is_told(name, has[name], member):
                raise UntoldError
            expression = conditional(Name(name), self._condition(name, has[name], member), expression)
        return expression

    def _holds(self, name: str, index: int, read: str | None) -> bool:
        """Whether a variable holds what an instance reads."""
        passed = self._passed[index]
        return read is None or passed.get(name, name) == passed.get(read, read)

    def _is_told(self, name: str, has: tuple[bool, ...], member: str) -> bool:
        return self._conditions.selects(member, has) or self._conditions.has_condition(self._units.get(name, ""), has)

    def _condition(self, name: str, has: tuple[bool, ...], member: str) -> Expression:
        if self._conditions.has_condition(self._units.get(name, ""), has):
            return self._conditions.flag(self._units[name], has)
        return self._conditions.selector(member, has)
