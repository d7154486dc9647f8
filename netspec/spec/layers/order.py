"""The topological order of layers: each follows those that it reads, in the order of the file where possible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import dropwhile
from typing import NamedTuple

MAX_CYCLES = 100  # that are collected


class Order(NamedTuple):
    """Names in topological order, and cycles among the rest. In a cycle, each layer reads the next."""

    names: tuple[str, ...]
    cycles: tuple[tuple[str, ...], ...]


def topological_order(reads: Mapping[str, Sequence[str]]) -> Order:
    """Order layers so that each follows those that it reads. Names that are no keys of `reads` are inputs.

    >>> topological_order({"a": ["x"], "b": ["c"], "c": ["a"]})
    Order(names=('a', 'c', 'b'), cycles=())
    >>> topological_order({"a": ["b"], "b": ["a"], "c": ["x"]})
    Order(names=('c',), cycles=(('a', 'b'),))
    """
    done: dict[str, bool] = {}  # False for a layer in a cycle, or that depends on one
    cycles: list[tuple[str, ...]] = []
    for first in reads:
        path: dict[str, int] = {}  # the layers being visited, each reading the next: index of its next producer
        if first not in done:
            path[first] = 0
        while path:
            name, index = next(reversed(path.items()))
            producers = reads[name]
            if index == len(producers):
                done[name] = all(done.get(producer, True) for producer in producers)
                del path[name]
                continue
            path[name] = index + 1
            producer = producers[index]
            if producer in path:
                if len(cycles) < MAX_CYCLES:
                    cycles.append(tuple(dropwhile(producer.__ne__, path)))
                done[producer] = False
            elif producer in reads and producer not in done:
                path[producer] = 0
    return Order(tuple(name for name, acyclic in done.items() if acyclic), tuple(cycles))


def cycle_from(cycle: Sequence[str], first: str) -> list[str]:
    """A cycle as a closed path that begins and ends at one of its names.

    >>> cycle_from(("a", "b", "c"), "b")
    ['b', 'c', 'a', 'b']
    """
    start = cycle.index(first)
    return [*cycle[start:], *cycle[: start + 1]]
