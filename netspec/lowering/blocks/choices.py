"""The choice between the alternatives of a place: a conditional expression over what the instances were given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from netspec.lowering.blocks.conditions import Conditions, UntoldError
from netspec.lowering.blocks.groups import FEW, Alternative
from netspec.lowering.blocks.lists import ITEM
from netspec.lowering.blocks.template import Unit
from netspec.lowering.python.rewrite import names_in
from netspec.lowering.python.source import Expression, conditional


class Choice:
    """The alternatives of a place, and the conditions that tell which of them an instance has.

    Args:
        fullest: the unit of the fullest instance.
        versions: the unit of each instance, and which alternative it is; None if it lacks one.
        conditions: finds the conditions, and marks their names as used.

    Attributes:
        members: which instances have each alternative.
        lacking: which instances have none.
    """

    def __init__(
        self, fullest: Unit, versions: Sequence[tuple[Unit | None, Alternative | None]], conditions: Conditions
    ) -> None:
        self._conditions = conditions
        having = [alternative for _, alternative in versions]
        self.members = {each: tuple(a == each for a in having) for each in dict.fromkeys(having) if each}
        self.lacking = tuple(each is None for each in having)
        self._found: dict[Alternative, Expression] = {}
        self._order = sorted(self.members, key=lambda each: not self._is_told(each))
        loops = any(name.startswith(ITEM) for s in (*fullest.setup, *fullest.run) for name in names_in(s.value))
        if len(self.members) == 1 and self.is_open and not loops:  # a loop through an empty tuple needs no condition
            (only,) = self.members
            self._found[only] = conditions.flag(fullest.name, self.members[only], fullest.pads)

    @property
    def is_open(self) -> bool:
        """Whether instances differ in what they have."""
        return len(self.members) > 1 or any(self.lacking)

    def of(self, values: Mapping[Alternative, Expression], otherwise: Expression | None) -> Expression:
        """The expression that chooses between those of the alternatives.

        Args:
            values: the expressions of the alternatives that have one.
            otherwise: the expression of all other instances; None if that of the fullest holds for them too.

        Raises:
            UntoldError: nothing in the spec tells who has which of several alternatives.
        """
        named = [(each, values[each]) for each in self._order if each in values]
        if len(named) < len(self.members) or any(self.lacking):
            if otherwise is None:
                fullest = next(iter(self.members))
                otherwise = values[fullest]
                named = [(each, value) for each, value in named if each != fullest]
        else:
            _, otherwise = named.pop()
        chosen = otherwise
        for each, value in reversed(named):
            if value != chosen:
                chosen = conditional(value, self._condition(each), chosen)
        return chosen

    def _is_told(self, alternative: Alternative) -> bool:
        """Whether the spec has a condition that tells who has an alternative."""
        name, has = alternative.name, self.members[alternative]
        if self._has_own_name(alternative):
            return self._conditions.has_condition(name, has)
        return self._conditions.selects(name, has)

    def _condition(self, alternative: Alternative) -> Expression:
        if alternative not in self._found:
            name, has = alternative.name, self.members[alternative]
            few = self._has_own_name(alternative) and len(self.members) + any(self.lacking) <= FEW
            if not few and not self._is_told(alternative):
                raise UntoldError
            own = self._has_own_name(alternative)
            self._found[alternative] = (self._conditions.flag if own else self._conditions.selector)(name, has)
        return self._found[alternative]

    def _has_own_name(self, alternative: Alternative) -> bool:
        """Whether no other alternative is a unit of the same name."""
        return [each.name for each in self.members].count(alternative.name) == 1
