"""The conditions that tell which instances have a member, or which of its alternatives they have."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from netspec.lowering.blocks.kinds import Kinds, kinds_of
from netspec.lowering.blocks.known import Known, Vector
from netspec.lowering.blocks.stated import Stated
from netspec.lowering.blocks.used import UsedNames
from netspec.lowering.python.source import LOGIC, Binary, Conditional, Expression, Literal, Name

_SELECTING: Final = ("op", "block", "mode", "groups")  # attributes that select a layer, sooner than others do


class UntoldError(Exception):
    """Nothing in the spec tells which instances have an alternative."""


class Conditions:
    """Finds the conditions under which instances have a member, or an alternative of it, and marks their names as used.

    Args:
        known: the names and expressions of the spec.
        stated: finds expressions of the spec by their values.
        used: where names are marked as used, and new ones are added.
    """

    def __init__(self, known: Known, stated: Stated, used: UsedNames) -> None:
        self._known, self._stated, self._used = known, stated, used

    def has_condition(self, member: str, values: Vector) -> bool:
        """Whether the spec has a condition for the presence of a member that gives these values."""
        return self._condition(member, values) is not None

    def flag(self, member: str, values: Vector, pads: str = "") -> Expression:
        """The condition under which a member is present: the spec's, or a parameter that members may share.

        Args:
            member: the member's name.
            values: whether each instance has the member.
            pads: the member that it pads for, if that is all it does. It is then present if that padding is above 0.
        """
        if padded := self._stated.padded(pads, values):
            return self._used.commit(padded)
        for kinds, count in self._known.expressions.get(member, ()):
            if "repeat" in kinds and tuple(type(n) is int and n > 0 for n in self._known.vector(count)) == values:
                least = count.right if isinstance(count, Binary) and count.operator == "-" else None
                if isinstance(count, Binary) and isinstance(least, Literal):
                    return self._used.commit(Binary(">", count.left, least))
                return self._used.commit(Binary(">", count, Literal(0)))
        known = self._known_flag(values)
        name = known or self._used.free(f"has_{member}")
        if condition := self._condition(member, values) or self._condition(pads, values):
            condition = self._known.named(condition)
            if isinstance(condition, Name):
                self._used.flags[condition.path] = values
            if not isinstance(condition, Binary) or condition.operator not in LOGIC:
                return self._used.commit(condition, False)
            if not known:
                self._used.compute(name, condition)  # a long condition gets a name
        self._used.flags[name] = values
        return self._used.add(name, values, False, kinds_of("when"))

    def selects(self, member: str, values: Vector) -> bool:
        """Whether an expression of the spec tells which instances have a certain alternative of a member.

        Args:
            member: the member's name.
            values: whether each instance has the alternative.
        """
        return self._selector(member, values) is not None

    def selector(self, member: str, values: Vector) -> Expression:
        """The condition under which a member has an alternative that an expression of the spec tells."""
        test = self._selector(member, values)
        assert test is not None  # noqa: S101 # `selects` was asked
        return self._used.commit(test, False)

    def _selector(self, member: str, values: Vector) -> Expression | None:
        """The first test of the spec's expressions for a member that gives these values."""
        tests = conditions_over(self._known.expressions.get(member, ()), self._known.vector, self._known.input_channels)
        return next((test for test in tests if self._known.vector(test) == values), None)

    def _known_flag(self, values: Vector) -> str:
        """The name of a condition with these values that is in use; empty if there is none."""
        return next((name for name in self._used.flags if self._used.flags[name] == values), "")

    def _condition(self, member: str, values: Vector) -> Expression | None:
        """The spec's condition for the presence of a member, if it gives these values."""
        for kinds, expression in self._known.expressions.get(member, ()):
            named = {*self._known.source_names, *self._used.values}
            renamed = isinstance(expression, Name) and expression.path not in named
            if "when" in kinds and self._known.vector(expression) == values and not renamed:
                return expression
        return None


def conditions_over(
    expressions: Sequence[tuple[Kinds, Expression]], vector: Callable[[Expression], Vector], channels: str
) -> Iterator[Expression]:
    """Conditions over the expressions of a member, the likelier ones first.

    They are an expression's own condition, a switch itself, comparisons of texts, and of numbers of groups. Sizes do
    not select a layer; where they seem to, it is by chance.

    Args:
        expressions: the member's expressions, with the kinds of the attributes.
        vector: returns the values of an expression in all instances.
        channels: the name of the channels of the block's input; empty if there is none.

    >>> from netspec.lowering.blocks.kinds import kinds_of
    >>> from netspec.lowering.python.render_expressions import render_expression
    >>> values = {"filters": (6, 8), "groups": (1, 8), "pool": ("max_pool2d", "avg_pool2d")}
    >>> stated = [(kinds_of(name), Name(name)) for name in values]
    >>> [render_expression(test) for test in conditions_over(stated, lambda name: values[name.path], "")]
    ['groups > 1', 'groups == 1', 'groups == 8', 'pool == "max_pool2d"', 'pool == "avg_pool2d"']
    """

    def rank(item: tuple[Kinds, Expression]) -> int:
        return min((_SELECTING.index(kind) for kind in item[0] if kind in _SELECTING), default=len(_SELECTING))

    for kinds, expression in sorted(expressions, key=rank):
        values = vector(expression)
        if isinstance(expression, Conditional):
            yield expression.test
        if all(isinstance(value, bool) for value in values):
            yield expression
        for value in dict.fromkeys(value for value in values if isinstance(value, str)):
            yield Binary("==", expression, Literal(value))
        if "groups" in kinds:
            yield Binary(">", expression, Literal(1))
            yield from (Binary("==", expression, other) for other in _counts(values, channels))


def _counts(values: Vector, channels: str) -> Iterator[Expression]:
    """What a number of groups may be compared with: 1, the channels that arrive, and its own values."""
    yield Literal(1)
    if channels:
        yield Name(channels)
    yield from map(Literal, sorted({value for value in values if type(value) is int} - {1}))
