"""Stacks whose elements differ one by one: the values become a tuple, and the source makes an element for each item.

So it holds for a stack of any length: `*(Mixer(dim, rate) for rate in rates)`. Values that grow with the index are
computed from it instead, and those of the first and the last element are chosen by it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final

from netspec.lowering.blocks.indexed import INDEX, PAIR, Values, arguments_of, by_index, with_arguments
from netspec.lowering.blocks.known import ABSENT, Given, Vector, agree, is_same
from netspec.lowering.blocks.parts import Part
from netspec.lowering.blocks.stacks import stacks_in
from netspec.lowering.blocks.template import Signatures, Template, signature_of
from netspec.lowering.python.naming import available
from netspec.lowering.python.rewrite import children_of, names_in, rename_in, with_children
from netspec.lowering.python.source import (
    Binary,
    Call,
    Conditional,
    Each,
    Expression,
    Literal,
    Name,
    Repeated,
    TupleOf,
    call,
)

ITEM: Final = "_item_"  # the prefix of the provisional names of items
LENGTH: Final = "_length_"  # the provisional name of the number of elements
Rows = Mapping[str, Each | Repeated]  # what gives the elements of each stack, by path
Groups = Sequence[tuple[tuple[int, ...], Template]]  # see `Generalizer.group`


def fewest(group: Callable[[Rows], Groups], rows: Rows) -> tuple[Groups, Rows]:
    """Group the instances of a block with stacks written element by element, if that takes fewer classes, or choices.

    Args:
        group: groups the instances, given what gives the elements of stacks.
        rows: what may give them; see `rows_of`.

    Returns:
        The groups, and the rows that they use.
    """
    plain = group({})
    if not rows:
        return plain, {}
    return min((plain, {}), (group(rows), rows), key=lambda choice: _size(choice[0]))


def _size(groups: Groups) -> tuple[int, int, int]:
    """The number of classes, of choices in them other than by the index, and of their parameters."""
    templates = [template for _, template in groups]
    statements = (s for template in templates for s in (*template.setup, *template.run))
    choices = sum(_choices_in(statement.value) for statement in statements)
    return len(groups), choices, sum(len(template.parameters) for template in templates)


def _choices_in(expression: Expression) -> int:
    own = isinstance(expression, Conditional) and INDEX not in names_in(expression.test)
    return own + sum(map(_choices_in, children_of(expression)))


def rows_of(
    parts: Sequence[Part], given: Sequence[Given], element: Callable[[Part], Call], signatures: Signatures
) -> Rows:
    """What gives the elements of stacks that neither repeat one nor differ at their ends alone.

    Args:
        parts: the instances of a block.
        given: their arguments.
        element: returns the call of an element of a stack.
        signatures: returns the signature of a function or class that emitted source calls, by name.
    """
    found: dict[str, Each | Repeated] = {}
    for stacks in stacks_in(parts).values() if len(parts) > 1 else ():
        hints = [dict(given[number].hints) for number in stacks]
        known = [tuple(row.get(name, ABSENT) for row in hints) for name in hints[0]]
        calls = [[element(part) for part in stack.instances] for stack in stacks.values()]
        rows = _rows(calls, known, signatures, chains=all(stack.is_chain for stack in stacks.values()))
        found |= {stack.path: row for stack, row in zip(stacks.values(), rows, strict=False)}
    return found


def _rows(
    calls: Sequence[Sequence[Call]], known: Sequence[Vector], signatures: Signatures, *, chains: bool
) -> list[Each | Repeated]:
    """What gives the elements of stacks that are written in one place; empty if there is nothing to be gained.

    Chains that repeat one element, or differ at their ends alone, are written so without this: see `repetitions_of`.
    """
    signature = signature_of(calls[0][0].function, signatures)
    arguments = arguments_of(calls, signature.optional or {})
    if arguments is None:
        return []
    formulas = {key: formula for key, values in arguments.items() if (formula := _formula(values, known))}
    lists = {
        key: f"{ITEM}{signature.positional[key] if isinstance(key, int) else key}"
        for key, values in arguments.items()
        if key not in formulas and (_is_stated(values, known) or not _differ_at_ends(values, known))
    }
    if not lists and not formulas and (chains or len({*map(len, calls)}) == 1):
        return []
    length = Name(LENGTH) if lists else None
    merged = {
        key: [Name(lists[key])] * len(calls) if key in lists else formulas.get(key) or by_index(values, length)
        for key, values in arguments.items()
    }
    rows: list[Each | Repeated] = []
    for number, row in enumerate(calls):
        applied = with_arguments(row[0], merged, number)
        tuples = tuple(_together(arguments[key][number]) for key in lists)
        index = INDEX if INDEX in names_in(applied) else ""
        if lists:
            rows.append(Each(applied, tuple(lists.values()), tuples, index))
        else:
            rows.append(Repeated(applied, Literal(len(row)), index=index))
    return rows


def _together(values: Sequence[Expression]) -> Literal:
    return Literal(tuple(value.value for value in values if isinstance(value, Literal)))


def _formula(rows: Values, known: Sequence[Vector]) -> list[Expression] | None:
    """For each stack, ints that grow by an equal step from an element to the next; None if they do not.

    Neither the first one nor the step may need a parameter of its own, and the spec may not state the ints as a list.
    """
    ints = [[each.value for each in row if isinstance(each, Literal) and type(each.value) is int] for row in rows]
    steps = [{after - before for before, after in pairwise(row)} for row in ints]
    grows = all(len(own) == len(row) and len(step) <= 1 for own, row, step in zip(ints, rows, steps, strict=True))
    if not grows or max(map(len, rows)) <= PAIR or not any(map(any, steps)):
        return None
    starts = [row[0] for row in ints]
    by: Vector = tuple(min(step) if step else ABSENT for step in steps)  # a single element has none: it may be any
    if _unknown([tuple(starts), by], known) or _is_stated(rows, known):
        return None
    stated = next((vector for vector in known if agree(by, vector)), by)
    some = next(step for step in by if step is not ABSENT)
    each = [some if step is ABSENT else step for step in stated]
    terms = [Name(INDEX) if {*each} == {1} else Binary("*", Name(INDEX), Literal(step)) for step in each]
    if len({*starts}) == 1:
        return [Binary("+", term, Literal(starts[0])) if starts[0] else term for term in terms]
    return [Binary("+", Literal(start), term) for start, term in zip(starts, terms, strict=True)]


def _is_stated(rows: Values, known: Sequence[Vector]) -> bool:
    """Whether the spec states the values as lists, and not all items of each are equal."""
    lists = tuple(_together(row).value for row in rows)
    return any(len({*row}) > 1 for row in rows) and any(agree(lists, vector) for vector in known)


def _differ_at_ends(rows: Values, known: Sequence[Vector]) -> bool:
    """Whether the values of each stack are equal, but for its first or its last element.

    Of stacks of one or two elements anything can be said: it is so if at most one of them is not known otherwise.
    """
    for start, end in ((0, 0), (1, 0), (0, 1), (1, 1)):
        between = [row[start : len(row) - end] for row in rows]
        if all(each == row[0] for row in between for each in row):
            longest = max(map(len, rows))
            if longest > start + end + 1 or start == end == 0:
                return True
            if longest <= PAIR:
                columns = [tuple(_at(row, position) for row in rows) for position in range(PAIR)]
                return _unknown(columns, known) < PAIR
    return False


def _at(row: Sequence[Expression], position: int) -> object:
    value = row[position] if position < len(row) else None
    return value.value if isinstance(value, Literal) else ABSENT


def _unknown(columns: Collection[Vector], known: Sequence[Vector]) -> int:
    """How many of some values differ between the instances that have them, and are not those of a known name."""
    present = {column: [each for each in column if each is not ABSENT] for column in columns}
    varying = [column for column, own in present.items() if any(not is_same(each, own[0]) for each in own)]
    return len({column for column in varying if not any(agree(column, vector) for vector in known)})


def plural_of(name: str) -> str:
    """The name of a tuple, after that of its items.

    >>> plural_of("rate"), plural_of("density"), plural_of("switch"), plural_of("in_channels"), plural_of("rate_2")
    ('rates', 'densities', 'switches', 'all_in_channels', 'all_rate_2')
    """
    name = name.rstrip("_")
    if name.endswith("s") or name[-1].isdecimal():
        return f"all_{name}"
    if name.endswith("y") and name[-2:-1] not in {*"aeiou_"}:
        return f"{name[:-1]}ies"
    return f"{name}{'es' if name.endswith(('x', 'z', 'ch', 'sh')) else 's'}"


def with_names(expression: Expression, taken: Collection[str], index: str = INDEX) -> Expression:
    """An expression whose loops have names for their items, and read the number of elements off the tuple.

    A choice by the index between true and false is the comparison itself.

    Args:
        expression: the expression.
        taken: the names that they may not have.
        index: the name of the index.
    """
    children = children_of(expression)
    named = [with_names(child, taken, index) for child in children]
    if any(new is not old for new, old in zip(named, children, strict=True)):
        expression = with_children(expression, named)
    match expression:
        case Each(value, names, (first, *_), own):
            items: dict[str, str] = {}
            for name in names:
                items[name] = available(name.removeprefix(ITEM), {*taken, *items.values()})
            value = rename_in(_with_length(value, _length_of(first)), {**items, own: index})
            return replace(expression, value=value, names=tuple(items.values()), index=own and index)
        case Conditional(Literal(True), Binary("==") as test, Literal(False)):
            return test
        case Conditional(Literal(False), Binary("==") as test, Literal(True)):
            return replace(test, operator="!=")
        case Repeated(value, index=own) if own:
            return replace(expression, value=rename_in(value, {own: index}), index=index)
    return expression


def _length_of(items: Expression) -> Expression:
    """The length of a tuple."""
    match items:
        case TupleOf(known) | Literal(tuple(known)):
            return Literal(len(known))
    return call("len", items)


def _with_length(expression: Expression, length: Expression) -> Expression:
    if expression == Name(LENGTH):
        return length
    children = [_with_length(child, length) for child in children_of(expression)]
    return with_children(expression, children) if children else expression
