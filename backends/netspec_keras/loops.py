"""Loops in emitted functions: over calls that differ only in the number at the end of their name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from netspec.lowering.python.source import (
    FEWEST_REPEATED,
    Assign,
    Call,
    Conditional,
    Expression,
    For,
    Formatted,
    If,
    Literal,
    Name,
    Repeated,
    Statement,
    Unpack,
    call,
)
from netspec_keras.layout import SEPARATOR

NAME: Final = "name"  # the parameter for the name of an instance, a prefix of the names of its layers


def with_loops(statements: Sequence[Statement], counter: str) -> Iterator[Statement | For | If]:
    """The statements, with loops for consecutive calls that differ only in the number at the end of their name."""
    index = 0
    while index < len(statements):
        match statements[index]:
            case Assign(target, Repeated() as repeated):
                yield from _written_loop(target, repeated, counter)
                index += 1
                continue
            case Assign(target, Conditional(test=test, value=Repeated() as repeated)):
                yield If(test, tuple(_written_loop(target, repeated, counter)))
                index += 1
                continue
        first = _numbered(statements[index])
        count = 1
        while first is not None and index + count < len(statements):
            stem, number, bare = first
            if _numbered(statements[index + count]) != (stem, number + count, bare):
                break
            count += 1
        if first is None or count < FEWEST_REPEATED:
            yield statements[index]
            index += 1
            continue
        stem, number, bare = first
        body = replace(bare, value=renamed(bare.value, Formatted((*stem, Name(counter)))))
        yield _counted_loop(counter, number, Literal(number + count), body)
        index += count


def _written_loop(target: str, repeated: Repeated, counter: str) -> Iterator[Statement | For]:
    """The statements of a repeated call, whose names are numbered: a loop, or single calls if they are few."""
    applied = repeated.value
    assert isinstance(applied, Call)  # noqa: S101
    stem = dict(applied.kwargs)[NAME]
    assert isinstance(stem, Formatted)  # noqa: S101
    if repeated.is_written_out and isinstance(repeated.count, Literal):
        for number in range(repeated.start, int(str(repeated.count.value))):
            *before, last = stem.parts
            yield Assign(target, renamed(applied, Formatted((*before, f"{last}{number}"))))
        return
    body = Assign(target, renamed(applied, Formatted((*stem.parts, Name(counter)))))
    yield _counted_loop(counter, repeated.start, repeated.count, body)


def _counted_loop(counter: str, start: int, stop: Expression, body: Statement) -> For:
    return For(counter, call("range", start, stop) if start else call("range", stop), (body,))


def _numbered(statement: Statement) -> tuple[tuple[str | Name, ...], int, Assign | Unpack] | None:
    """The parts of a call's name before the number at its end, the number, and the call without a name; else None."""
    if not isinstance(statement, Assign | Unpack) or not isinstance(statement.value, Call):
        return None
    targets = (statement.target,) if isinstance(statement, Assign) else statement.targets
    if getattr(statement, "comment", "") or not set(map(Name, targets)).issubset(statement.value.args):
        return None
    match dict(statement.value.kwargs).get(NAME):
        case Literal(str(text)):
            parts: tuple[str | Name, ...] = (text,)
        case Formatted(parts):
            pass
        case _:
            return None
    last = parts[-1]
    stem, dash, number = last.rpartition(SEPARATOR) if isinstance(last, str) else ("", "", "")
    if not dash or not number.isdecimal():
        return None
    return (*parts[:-1], stem + dash), int(number), replace(statement, value=renamed(statement.value, Literal(None)))


def repeated_calls(run: Sequence[Statement], start: int, element: Call) -> Iterator[Statement]:
    """The calls of a chain, with those from `start` on as one `Repeated` call: of `element`, if there are none."""
    yield from run[:start]
    first = run[min(start, len(run) - 1)]
    assert isinstance(first, Assign)  # noqa: S101 # the parts of a chain have one output
    assert isinstance(first.value, Call)  # noqa: S101
    source = first.value.args[0] if start < len(run) else Name(first.target)
    if source != Name(first.target):
        yield Assign(first.target, source)
    stem = _stem(first.value)
    own = first.value if start < len(run) else element
    applied = renamed(replace(own, args=(Name(first.target), *own.args[1:])), stem)
    yield Assign(first.target, Repeated(applied, Literal(len(run)), start))


def _stem(applied: Call) -> Expression:
    """The `name` argument of a call without the number at its end."""
    name = dict(applied.kwargs)[NAME]
    assert isinstance(name, Formatted)  # noqa: S101 # in a block it begins with the name of the instance
    last = str(name.parts[-1])
    return Formatted((*name.parts[:-1], last[: last.rindex(SEPARATOR) + 1]))


def renamed(applied: Expression, name: Expression) -> Expression:
    """A call with another `name` argument."""
    if not isinstance(applied, Call):
        return applied
    return replace(applied, kwargs=tuple((key, name if key == NAME else value) for key, value in applied.kwargs))
