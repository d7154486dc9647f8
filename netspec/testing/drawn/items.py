"""Layers and uses of blocks as a drawn spec says them, and the graph that they mean, made without the front end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError

from netspec.errors import GraphError, ShapeError
from netspec.graph import Graph, Input, Node, Scope, make_node
from netspec.ops import OPS

Document = dict[str, Any]
Names = Mapping[str, Any]
USE_KEYS = ("block", "when", "repeat", "first", "last")


@dataclass(frozen=True)
class Item:
    """A layer as it stands in the network or in a block: an op, or a use with what is in the block.

    Attributes:
        name: what it is called there.
        stated: what the spec says of it, without what it reads.
        reads: the values that it reads, as they are called there.
        within: the items of the block that it is, by what the block calls its inputs.
        outputs: the values within that it gives.
        parameters: the defaults of the block's parameters; None of those that have to be given.
        kinds: the ops of it, and of all that is within.
    """

    name: str
    stated: Document
    reads: tuple[str, ...]
    within: tuple[Item, ...] = ()
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    parameters: Document = field(default_factory=dict)
    kinds: frozenset[str] = frozenset()

    @property
    def gives(self) -> tuple[str, ...]:
        """Its values, as they are called where it stands."""
        return tuple(f"{self.name}.{output}" for output in self.outputs) if len(self.outputs) > 1 else (self.name,)

    @property
    def document(self) -> Document:
        """The layer in full."""
        kind: Document = {key: self.stated[key] for key in ("op", "block") if key in self.stated}
        inputs = {"inputs": list(self.reads)} if self.reads else {}  # a parameter reads nothing, and says nothing of it
        return {**kind, **inputs, **self.stated}

    def stating(self, **stated: Any) -> Item:
        """The item, of which the spec says more, or something else."""
        return replace(self, stated={**self.stated, **stated})


def expand(graph: Graph, items: Sequence[Item], outputs: Sequence[str]) -> Graph | None:
    """The graph of items on the inputs of another one, nodes called by path; None where the language has no such."""
    expansion = _Expansion({value.name: value for value in graph.inputs})
    names = {value.name: value.name for value in graph.inputs}
    try:
        expansion.add(items, names, "", {})
        nodes = tuple(value for value in expansion.values.values() if isinstance(value, Node))
        shown = tuple(names[output] for output in outputs)
        made = replace(graph, nodes=nodes, outputs=shown, scopes=tuple(expansion.scopes)).check()
    except (ShapeError, GraphError, ValidationError, KeyError):  # what is no map has no channels to be named
        return None
    return made if all(isinstance(made.values[name], Node) for name in shown) else None


class _Expansion:
    """Makes the nodes of items, and the scopes in the order in which they begin."""

    def __init__(self, values: dict[str, Input | Node]) -> None:
        self.values = values
        self.scopes: list[Scope] = []

    def add(self, items: Sequence[Item], names: dict[str, str], prefix: str, seen: Names) -> None:
        """Make the nodes of items; `names` are the paths of values as they are called where the items stand.

        `seen` is what expressions see there.
        """
        for item in items:
            path = prefix + item.name
            read = tuple(names[value] for value in item.reads)
            if not value_of(item.stated.get("when", True), seen):
                names |= dict(zip(item.gives, read, strict=True))
            elif item.within:
                names |= dict(zip(item.gives, self._use(item, read, path, seen), strict=True))
            else:
                stated = {key: value_of(value, seen) for key, value in item.stated.items() if key != "when"}
                op = OPS[stated.pop("op")].model_validate(stated)
                self.values[path] = make_node(path, op, [self.values[name] for name in read])
                names[item.name] = path

    def _use(self, item: Item, read: tuple[str, ...], path: str, seen: Names) -> tuple[str, ...]:
        """The values that a use gives, of a stack those of its last instance."""
        count = item.stated.get("repeat")
        if count is None:
            return self._instance(item, self._arguments(item, item.stated, seen), read, path)
        self.scopes.append(Scope(path))
        gives: tuple[str, ...] = ()
        for index in range(count):
            given = dict(item.stated)
            given |= item.stated.get("first", {}) if index == 0 else {}
            given |= item.stated.get("last", {}) if index == count - 1 else {}
            arguments = self._arguments(item, given, {**seen, "index": index})
            gives = self._instance(item, arguments, (*gives, *read[len(gives) :]), f"{path}.{index}")
        return gives

    def _arguments(self, item: Item, given: Document, seen: Names) -> Document:
        return {name: value_of(given.get(name, default), seen) for name, default in item.parameters.items()}

    def _instance(self, item: Item, arguments: Document, read: tuple[str, ...], path: str) -> tuple[str, ...]:
        inside = dict(zip(item.inputs, read, strict=True))
        plain = tuple((name, value) for name, value in arguments.items() if not isinstance(value, list | dict))
        self.scopes.append(Scope(path, item.stated["block"], plain, tuple(inside.items())))
        types = {name: self.values[value].type for name, value in inside.items()}
        channels = {f"{name}.channels": type.features[0] for name, type in types.items() if type.rank == 4}
        self.add(item.within, inside, f"{path}.", {**channels, **arguments})
        return tuple(inside[output] for output in item.outputs)


def value_of(stated: Any, names: Names) -> Any:
    """What a drawn spec says: a name in `${…}`, one plus a number, or one compared with it; else a value.

    >>> value_of("${index + 2}", {"index": 1}), value_of("${index > 0}", {"index": 0}), value_of("same", {})
    (3, False, 'same')
    """
    if not isinstance(stated, str) or not stated.startswith("${"):
        return stated
    name, *rest = stated[2:-1].split()
    match rest:
        case ["+", number]:
            return names[name] + int(number)
        case [">", number]:
            return names[name] > int(number)
    return names[name]
