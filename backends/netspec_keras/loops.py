"""Loops in emitted functions: over calls that differ only in the number at the end of their name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from netspec.lowering.blocks.indexed import INDEX
from netspec.lowering.python.rewrite import rename_in
from netspec.lowering.python.source import (
    FEWEST_REPEATED,
    Binary,
    Call,
    Conditional,
    Each,
    Expression,
    Formatted,
    Literal,
    Name,
    Repeated,
    call,
)
from netspec.lowering.python.statements import Assign, For, If, Statement, Unpack
from netspec_keras.layout import SEPARATOR

NAME: Final = "name"  # the parameter for the name of an instance, a prefix of the names of its layers


def with_loops(statements: Sequence[Statement], counter: str) -> Iterator[Statement | For | If]:
    """The statements, with loops for consecutive calls that differ only in the number at the end of their name."""
    index = 0
    while index < len(statements):
        match statements[index]:
            case Assign(target, Repeated() | Each() as repeated):
                yield from _written_loop(target, repeated, counter)
                index += 1
                continue
            case Assign(target, Conditional(test=test, value=Repeated() | Each() as repeated)):
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


def _written_loop(target: str, repeated: Repeated | Each, counter: str) -> Iterator[Statement | For]:
    """The statements of a repeated call, whose names are numbered: a loop, or single calls if they are few."""
    applied = repeated.value
    assert isinstance(applied, Call)  # noqa: S101
    stem = dict(applied.kwargs)[NAME]
    assert isinstance(stem, Formatted)  # noqa: S101
    if isinstance(repeated, Repeated) and repeated.is_written_out and isinstance(repeated.count, Literal):
        for number in range(repeated.start, int(str(repeated.count.value)) - repeated.end):
            *before, last = stem.parts
            yield Assign(target, renamed(applied, Formatted((*before, f"{last}{number}"))))
        return
    applied = renamed(applied, Formatted((*stem.parts, Name(counter))))
    body = Assign(target, rename_in(applied, {repeated.index: counter}))
    if isinstance(repeated, Each):
        loop = replace(repeated, index=counter)
        yield For(loop.target, loop.iterable, (body,))
        return
    yield _counted_loop(counter, repeated.start, repeated.stop, body)


def _counted_loop(counter: str, start: int, stop: Expression, body: Statement) -> For:
    return For(Name(counter), call("range", start, stop) if start else call("range", stop), (body,))


def _numbered(statement: Statement) -> tuple[tuple[str | Name | Binary, ...], int, Assign | Unpack] | None:
    """The parts of a call's name before the number at its end, the number, and the call without a name; else None."""
    if not isinstance(statement, Assign | Unpack) or not isinstance(statement.value, Call):
        return None
    targets = (statement.target,) if isinstance(statement, Assign) else statement.targets
    if getattr(statement, "comment", "") or not set(map(Name, targets)).issubset(statement.value.args):
        return None
    match dict(statement.value.kwargs).get(NAME):
        case Literal(str(text)):
            parts: tuple[str | Name | Binary, ...] = (text,)
        case Formatted(parts):
            pass
        case _:
            return None
    last = parts[-1]
    stem, dash, number = last.rpartition(SEPARATOR) if isinstance(last, str) else ("", "", "")
    if not dash or not number.isdecimal():
        return None
    return (*parts[:-1], stem + dash), int(number), replace(statement, value=renamed(statement.value, Literal(None)))


def repeated_calls(run: Sequence[Statement], start: int, end: int, element: Call) -> Iterator[Statement]:
    """The calls of a chain, with those between `start` first and `end` last ones as one `Repeated` call.

    Args:
        run: the calls, one of them at least.
        start: how many come before the repeated ones.
        end: how many come after them.
        element: the call that is repeated 0 times, if there are none.
    """
    target, calls = _chained(run)
    stem, stop = _stem(calls[0]), len(run) - end
    yield from run[:start]
    if start < len(run):
        yield from _begun(target, calls[start])
    applied = renamed(_reading(target, element if start == stop else calls[start]), Formatted(stem))
    yield Assign(target, Repeated(applied, Literal(len(run)), start, end))
    for number in range(stop, len(run)):
        name = Formatted((*stem, Binary("-", Literal(len(run)), Literal(len(run) - number))))
        yield replace(run[number], value=renamed(_reading(target, calls[number]), name))


def row_of_calls(run: Sequence[Statement], row: Repeated | Each) -> Iterator[Statement]:
    """The calls of a chain as one, given what gives all of its elements, with their inputs left open."""
    target, (first, *_) = _chained(run)
    yield from _begun(target, first)
    assert isinstance(row.value, Call)  # noqa: S101 # an element of a chain is a call
    pairs = zip(row.value.args, first.args, strict=True)
    applied = replace(row.value, args=tuple(own if arg == Literal(None) else arg for arg, own in pairs))
    yield Assign(target, replace(row, value=renamed(_reading(target, applied), Formatted(_stem(first))), index=INDEX))


def _chained(run: Sequence[Statement]) -> tuple[str, list[Call]]:
    """The variable that the statements of a chain assign, and their calls."""
    calls = [each.value for each in run if isinstance(each, Assign) and isinstance(each.value, Call)]
    (target,) = {each.target for each in run if isinstance(each, Assign)}
    return target, calls


def _begun(target: str, first: Call) -> Iterator[Assign]:
    """The assignment of what a chain begins with to the variable that all its calls read, if that is another one."""
    if first.args[0] != Name(target):
        yield Assign(target, first.args[0])


def _reading(variable: str, applied: Call) -> Call:
    """A call with another first argument."""
    return replace(applied, args=(Name(variable), *applied.args[1:]))


def _stem(applied: Call) -> tuple[str | Name | Binary, ...]:
    """The parts of the `name` argument of a call without the number at its end."""
    name = dict(applied.kwargs)[NAME]
    assert isinstance(name, Formatted)  # noqa: S101 # in a block it begins with the name of the instance
    last = str(name.parts[-1])
    return (*name.parts[:-1], last[: last.rindex(SEPARATOR) + 1])


def renamed(applied: Expression, name: Expression) -> Expression:
    """A call with another `name` argument."""
    if not isinstance(applied, Call):
        return applied
    return replace(applied, kwargs=tuple((key, name if key == NAME else value) for key, value in applied.kwargs))
