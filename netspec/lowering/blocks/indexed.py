"""The elements of a stack as one expression over their index: the first, the last or the only one may differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from netspec.lowering.blocks.parts import Part
from netspec.lowering.python.source import Binary, Call, Conditional, Expression, Literal, LiteralValue, Name

PAIR: Final = 2
INDEX: Final = "_index_"  # the provisional name of an index
Row = Sequence[Call]  # the calls of one stack
Values = Sequence[Sequence[Expression]]  # of one argument, in each element of each stack


def calls_by_index(
    stacks: Sequence[Part], element: Callable[[Part], Call], defaults: Mapping[str, LiteralValue]
) -> dict[str, Call | None]:
    """The call that gives each element of a stack by its index, by the path of the stack; see `indexed`.

    Args:
        stacks: the stacks that are written in one place.
        element: returns the call of an element.
        defaults: the defaults of the optional arguments.
    """
    calls = indexed([[element(part) for part in stack.instances] for stack in stacks], defaults)
    return {stack.path: calls[number] if calls else None for number, stack in enumerate(stacks)}


def indexed(rows: Sequence[Row], defaults: Mapping[str, LiteralValue]) -> list[Call] | None:
    """For each stack, the call that gives each of its elements by the index; None if they call different functions.

    Args:
        rows: the calls of the stacks that are written in one place, which are equal between the first and the last of
            each. Their arguments are literals.
        defaults: the defaults of the optional arguments.

    >>> from netspec.lowering.python.render_expressions import render_expression
    >>> from netspec.lowering.python.source import call
    >>> rows = [[call("f", 4, s=2), call("f", 4), call("f", 6)], [call("f", 5)]]
    >>> for each in indexed(rows, {"s": 1}):
    ...     print(render_expression(each))
    f(6 if _index_ == 2 else 4, s=2 if _index_ == 0 else 1)
    f(5 if _index_ == 0 else 4, s=1 if _index_ == 0 else 1)
    """
    values = arguments_of(rows, defaults)
    merged = {key: by_index(of_key) for key, of_key in (values or {}).items()}
    return [with_arguments(row[0], merged, number) for number, row in enumerate(rows)] if values is not None else None


def arguments_of(rows: Sequence[Row], defaults: Mapping[str, LiteralValue]) -> dict[int | str, Values] | None:
    """The values of each argument, by position or keyword; None if the calls are of different functions."""
    calls = [each for row in rows for each in row]
    function, count = calls[0].function, len(calls[0].args)
    if any(each.function != function or len(each.args) != count for each in calls):
        return None
    order = [*defaults]
    names = dict.fromkeys(key for each in calls for key, _ in each.kwargs)
    keys = sorted(names, key=lambda key: order.index(key) if key in defaults else len(order))
    return {key: [[_value(each, key, defaults) for each in row] for row in rows] for key in (*range(count), *keys)}


def with_arguments(call: Call, values: Mapping[int | str, Sequence[Expression]], number: int) -> Call:
    """A call of the same function with arguments, by position or keyword, each of which has a value for each stack."""
    return Call(
        call.function,
        tuple(of_key[number] for key, of_key in values.items() if isinstance(key, int)),
        tuple((key, of_key[number]) for key, of_key in values.items() if isinstance(key, str)),
    )


def _value(call: Call, key: int | str, defaults: Mapping[str, LiteralValue]) -> Expression:
    """An argument of a call, by position or by keyword."""
    return call.args[key] if isinstance(key, int) else dict(call.kwargs).get(key, Literal(defaults.get(key)))


def by_index(rows: Values, length: Expression | None = None) -> list[Expression]:
    """For each stack, the expression of one argument, whose first and last value may differ from those between.

    Args:
        rows: the values.
        length: the number of elements, if it is not to be a literal.
    """
    index = Name(INDEX)
    differs_first = any(row[0] != row[1] for row in rows if len(row) > PAIR)
    differs_last = any(row[-1] != row[-2] for row in rows if len(row) > PAIR)
    differs_first |= not differs_last and any(row[0] != row[1] for row in rows if len(row) == PAIR)
    between = next((row[1] for row in rows if len(row) > PAIR), rows[0][0])  # where there is none, it may be any
    ends = differs_first + differs_last
    expressions: list[Expression] = []
    for row in rows:
        count = len(row)
        chosen = row[int(differs_first)] if count > ends else between
        if differs_last:
            is_last = Binary("==", index, Binary("-", length or Literal(count), Literal(1)))
            chosen = Conditional(row[-1], is_last, chosen, decided=count <= ends)
        if differs_first:
            chosen = Conditional(row[0], Binary("==", index, Literal(0)), chosen, decided=count == 1)
        expressions.append(chosen)
    return expressions
