"""Traversal and rewriting of emitted expressions and statements: children, names, renaming, conditions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from netspec.lowering.python.source import (
    Attribute,
    Binary,
    Call,
    Conditional,
    Each,
    Expression,
    Extreme,
    Formatted,
    ListOf,
    Name,
    Negative,
    Not,
    Range,
    Repeated,
    Subscript,
    TupleOf,
)
from netspec.lowering.python.statements import Assign, For, If, Statement, Unpack


def children_of(expression: Expression) -> tuple[Expression, ...]:
    """The direct subexpressions of an expression; none for a name or a literal.

    >>> from netspec.lowering.python.source import call
    >>> children_of(call("nn.Linear", 3, bias=False))
    (Name(path='nn.Linear'), Literal(value=3), Literal(value=False))
    """
    match expression:
        case Call(function, args, kwargs):
            return (function, *args, *(value for _, value in kwargs))
        case Attribute(value, _) | Negative(value) | Not(value):
            return (value,)
        case Repeated(value, count):
            return (value, count)
        case Each(value, _, tuples):
            return (value, *tuples)
        case Subscript(value):
            return (value, *expression.expressions)
        case Binary(_, left, right) | Extreme(_, left, right):
            return (left, right)
        case ListOf(items) | TupleOf(items):
            return items
        case Formatted(parts):
            return tuple(part.left for part in parts if isinstance(part, Binary))
        case Conditional(value, test, otherwise, _):
            return (value, test, otherwise)
    return ()


def with_children(expression: Expression, children: Sequence[Expression]) -> Expression:
    """The same expression with other children, as many as `children_of` returns."""
    match expression:
        case Call(_, args, kwargs):
            function, *rest = children
            named = zip((key for key, _ in kwargs), rest[len(args) :], strict=True)
            return Call(function, tuple(rest[: len(args)]), tuple(named))
        case Attribute() | Negative() | Not():
            return replace(expression, value=children[0])
        case Repeated():
            return replace(expression, value=children[0], count=children[1])
        case Each():
            return replace(expression, value=children[0], tuples=tuple(children[1:]))
        case Subscript(_, items):
            value, *rest = children
            expressions = iter(rest)
            return Subscript(value, tuple(_with_expressions(item, expressions) for item in items))
        case Binary(operator):
            return Binary(operator, *children)
        case Extreme(function):
            return Extreme(function, *children)
        case ListOf() | TupleOf():
            return replace(expression, items=tuple(children))
        case Conditional():
            value, test, otherwise = children
            return replace(expression, value=value, test=test, otherwise=otherwise)
        case Formatted(parts):
            left = iter(children)
            return Formatted(
                tuple(replace(part, left=next(left)) if isinstance(part, Binary) else part for part in parts)
            )
    return expression


def _with_expressions(
    item: int | str | Range | Expression, expressions: Iterator[Expression]
) -> int | str | Range | Expression:
    """An item of a subscript, with the next of `expressions` in place of each expression in it."""
    if isinstance(item, int | str):
        return item
    if not isinstance(item, Range):
        return next(expressions)
    return Range(*(None if bound is None else next(expressions) for bound in (item.start, item.stop, item.step)))


def names_in(expression: Expression) -> Iterator[str]:
    """The names that an expression reads, with repetitions."""
    if isinstance(expression, Name):
        yield expression.path
    for child in children_of(expression):
        yield from names_in(child)


def functions_in(expression: Expression) -> Iterator[str]:
    """The dotted names of the functions that an expression calls, outermost first."""
    if isinstance(expression, Call) and isinstance(expression.function, Name):
        yield expression.function.path
    for child in children_of(expression):
        yield from functions_in(child)


def names_in_body(body: Iterable[Statement | For | If]) -> Iterator[str]:
    """The names that statements read, including loops and conditions, with repetitions."""
    for statement in body:
        match statement:
            case For(iterable=iterable, body=within):
                yield from names_in(iterable)
                yield from names_in_body(within)
            case If(test, within):
                yield from names_in(test)
                yield from names_in_body(within)
            case _:
                yield from names_in(statement.value)


def rename_in(expression: Expression, names: Mapping[str, str]) -> Expression:
    """The expression with some names replaced."""
    if isinstance(expression, Name):
        return Name(names[expression.path]) if expression.path in names else expression
    children = children_of(expression)
    if not children:
        return expression
    renamed = [rename_in(child, names) for child in children]
    if all(new is old for new, old in zip(renamed, children, strict=True)):
        return expression
    return with_children(expression, renamed)


def targets_of(statement: Statement) -> tuple[str, ...]:
    """The variables that a statement assigns."""
    match statement:
        case Assign(target):
            return (target,)
        case Unpack(targets):
            return targets
    return ()


def rename(statement: Statement, names: Mapping[str, str]) -> Statement:
    """The statement with some variables replaced, its targets included."""
    value = rename_in(statement.value, names)
    if isinstance(statement, Assign):
        return replace(statement, target=names.get(statement.target, statement.target), value=value)
    if isinstance(statement, Unpack):
        return replace(statement, targets=tuple(names.get(t, t) for t in statement.targets), value=value)
    return replace(statement, value=value)


def named_statements(statements: Sequence[Statement], names: Mapping[str, str]) -> tuple[Statement, ...]:
    """The statements with final names, without assignments of a variable to itself."""
    renamed = [rename(statement, names) for statement in statements]
    return tuple(s for s in renamed if not (isinstance(s, Assign) and s.value == Name(s.target)))


def with_conditions(statements: Iterable[Statement | For | If]) -> Iterator[Statement | For | If]:
    """Rewrite each `x = a if test else x` to `if test: x = a`, and merge consecutive ones with the same test.

    Likewise, `x = x if test else a` becomes `if not test: x = a`, if the test is a name.
    """
    pending: If | None = None
    for statement in map(_with_kept_last, statements):
        match statement:
            case Assign(target, Conditional(value, test, Name(kept))) if kept == target:
                if pending is not None and pending.test != test:
                    yield pending
                    pending = None
                pending = If(test, (*(pending.body if pending else ()), Assign(target, value)))
            case _:
                if pending is not None:
                    yield pending
                pending = None
                yield statement
    if pending is not None:
        yield pending


def _with_kept_last(statement: Statement | For | If) -> Statement | For | If:
    """The statement; `x = x if test else a` as `x = a if not test else x`, if the test is a name."""
    match statement:
        case Assign(target, Conditional(Name(kept), Name() as test, value)) if kept == target:
            return Assign(target, Conditional(value, Not(test), Name(kept)))
    return statement
