"""Loops in emitted `forward` methods: over the modules of a list, each of which reads what the one before gave."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from netspec.lowering.blocks.lists import ITEM, with_names
from netspec.lowering.python.naming import available
from netspec.lowering.python.source import FEWEST_REPEATED, Call, Each, Expression, Name, Subscript, TupleOf
from netspec.lowering.python.statements import Assign, For, Statement, Unpack


class _ListedCall(NamedTuple):
    """A call of one module of a list: `x = self.blocks[2](x, mask)`."""

    modules: Expression
    number: int
    targets: tuple[str, ...]
    arguments: tuple[Expression, ...]


def with_loops(statements: Sequence[Statement], taken: Collection[str]) -> Iterator[Statement | For]:
    """The statements; calls of all modules of a list, each on the results of the one before, as a loop over the list.

    TorchScript unrolls a loop over a whole list, and not one over a part of it: the first call is in the loop too.
    """
    index = 0
    while index < len(statements):
        match statements[index]:
            case Assign(target, Each() as each):
                loop = with_names(each, taken)
                assert isinstance(loop, Each)  # noqa: S101
                yield For(loop.target, loop.iterable, (Assign(target, loop.value),))
                index += 1
                continue
        calls = _calls_of_list(statements, index)
        if len(calls) < FEWEST_REPEATED or not _is_loop(calls):
            following = index + max(1, len(calls))
            yield from statements[index:following]
            index = following
            continue
        targets, received = calls[-1].targets, calls[0].arguments[: len(calls[-1].targets)]
        begun = {target: value for target, value in zip(targets, received, strict=True) if value != Name(target)}
        if len(begun) > 1:
            yield Unpack(tuple(begun), TupleOf(tuple(begun.values())))
        else:
            yield from (Assign(target, value) for target, value in begun.items())
        variable = available("block", taken)
        applied = Call(Name(variable), calls[-1].arguments)
        body = Unpack(targets, applied) if len(targets) > 1 else Assign(targets[0], applied)
        yield For(Name(variable), calls[0].modules, (body,))
        index += len(calls)


def looped_calls(run: Sequence[Statement]) -> Iterator[Statement]:
    """The calls of all modules of a list, each on the result of the one before, as a loop that holds for any length."""
    first = next(iter(_calls_of_list(run, 0)))
    (target,) = first.targets
    source, *others = first.arguments
    if source != Name(target):
        yield Assign(target, source)
    block = f"{ITEM}block"
    yield Assign(target, Each(Call(Name(block), (Name(target), *others)), (block,), (first.modules,)))


def _calls_of_list(statements: Sequence[Statement], start: int) -> list[_ListedCall]:
    """The consecutive calls of one list's modules from a position on."""
    calls: list[_ListedCall] = []
    for index in range(start, len(statements)):
        match statements[index]:
            case Assign(target, Call(Subscript(modules, (int(number),)), arguments)):
                calls.append(_ListedCall(modules, number, (target,), arguments))
            case Unpack(targets, Call(Subscript(modules, (int(number),)), arguments)):
                calls.append(_ListedCall(modules, number, targets, arguments))
            case _:
                break
        if calls[-1].modules != calls[0].modules:
            return calls[:-1]
    return calls


def _is_loop(calls: Sequence[_ListedCall]) -> bool:
    """Whether the calls differ only in the module; the first may read other values than it gives."""
    first, *others = calls
    count = len(first.targets)
    fed = (*map(Name, first.targets), *first.arguments[count:])
    return first.number == 0 and all(
        call.number == number and call.targets == first.targets and call.arguments == fed
        for number, call in enumerate(others, 1)
    )
