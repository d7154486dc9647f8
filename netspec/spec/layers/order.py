"""An order of the layers in which each follows what it reads: the file's own, wherever it is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import dropwhile
from typing import NamedTuple

MAX_CYCLES = 100  # more are not listed


class Order(NamedTuple):
    """Names in order, and the cycles among the rest; each cycle is a list of layers, each reading the next."""

    names: tuple[str, ...]
    cycles: tuple[tuple[str, ...], ...]


def topological_order(reads: Mapping[str, Sequence[str]]) -> Order:
    """Layers so that producers come first. Names that are not keys (inputs) count as made.

    >>> topological_order({"a": ["x"], "b": ["c"], "c": ["a"]})
    Order(names=('a', 'c', 'b'), cycles=())
    >>> topological_order({"a": ["b"], "b": ["a"], "c": ["x"]})
    Order(names=('c',), cycles=(('a', 'b'),))
    """
    done: dict[str, bool] = {}  # False: in a cycle, or behind one
    cycles: list[tuple[str, ...]] = []
    for first in reads:
        path: dict[str, int] = {}  # the layers being visited, each reading the next; how far each got
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
    return Order(tuple(name for name, whole in done.items() if whole), tuple(cycles))


def cycle_from(cycle: Sequence[str], first: str) -> list[str]:
    """A cycle from one of its names to that again.

    >>> cycle_from(("a", "b", "c"), "b")
    ['b', 'c', 'a', 'b']
    """
    start = cycle.index(first)
    return [*cycle[start:], *cycle[: start + 1]]
