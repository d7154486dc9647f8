"""Layers and uses of blocks in a drawn spec, and their expansion to a graph, independent of the front end."""

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
    """A layer of the network or of a block: an op, or a use of a block.

    Names of values are local to the network or block that contains the item.

    Attributes:
        name: the name of the layer.
        stated: the keys of the layer in the spec, without `inputs`.
        reads: the values that it reads.
        within: for a use, the items of the block.
        inputs: for a use, the names of the block's inputs.
        outputs: for a use, the values within the block that are its outputs.
        parameters: for a use, the defaults of the block's parameters.
        kinds: the kinds of all ops in it, including nested ones.
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
        """The names of the values that it defines."""
        return tuple(f"{self.name}.{output}" for output in self.outputs) if len(self.outputs) > 1 else (self.name,)

    @property
    def document(self) -> Document:
        """The complete layer, as in the spec."""
        kind: Document = {key: self.stated[key] for key in ("op", "block") if key in self.stated}
        inputs = {"inputs": list(self.reads)} if self.reads else {}  # a `parameter` has no `inputs`
        return {**kind, **inputs, **self.stated}

    def stating(self, **stated: Any) -> Item:
        """Return the item with keys added or replaced."""
        return replace(self, stated={**self.stated, **stated})


def expand(graph: Graph, items: Sequence[Item], outputs: Sequence[str]) -> Graph | None:
    """Expand items to a graph with the inputs of `graph`. Nodes are named by path.

    Returns None if the result is not a valid network of the language.
    """
    expansion = _Expansion({value.name: value for value in graph.inputs})
    names = {value.name: value.name for value in graph.inputs}
    try:
        expansion.add(items, names, "", {})
        nodes = tuple(value for value in expansion.values.values() if isinstance(value, Node))
        paths = tuple(names[output] for output in outputs)
        expanded = replace(graph, nodes=nodes, outputs=paths, scopes=tuple(expansion.scopes)).check()
    except (ShapeError, GraphError, ValidationError, KeyError):  # KeyError: `${….channels}` of a value that is no map
        return None
    return expanded if all(isinstance(expanded.values[name], Node) for name in paths) else None


class _Expansion:
    """Builds the nodes of items, and their scopes in the order in which they begin."""

    def __init__(self, values: dict[str, Input | Node]) -> None:
        self.values = values
        self.scopes: list[Scope] = []

    def add(self, items: Sequence[Item], names: dict[str, str], prefix: str, variables: Names) -> None:
        """Build the nodes of items.

        Args:
            items: the items of the network or of a block.
            names: the paths of values by their local names; the values of the items are added.
            prefix: the path of the block.
            variables: the variables of expressions.
        """
        for item in items:
            path = prefix + item.name
            read = tuple(names[value] for value in item.reads)
            if not value_of(item.stated.get("when", True), variables):
                names |= dict(zip(item.gives, read, strict=True))
            elif item.within:
                names |= dict(zip(item.gives, self._use(item, read, path, variables), strict=True))
            else:
                attributes = {key: value_of(value, variables) for key, value in item.stated.items() if key != "when"}
                op = OPS[attributes.pop("op")].model_validate(attributes)
                self.values[path] = make_node(path, op, [self.values[name] for name in read])
                names[item.name] = path

    def _use(self, item: Item, read: tuple[str, ...], path: str, variables: Names) -> tuple[str, ...]:
        """Build a use of a block and return the paths of its outputs; for a stack, those of the last instance."""
        count = item.stated.get("repeat")
        if count is None:
            return self._instance(item, self._arguments(item, item.stated, variables), read, path)
        self.scopes.append(Scope(path))
        outputs: tuple[str, ...] = ()
        for index in range(count):
            stated = dict(item.stated)
            stated |= item.stated.get("first", {}) if index == 0 else {}
            stated |= item.stated.get("last", {}) if index == count - 1 else {}
            arguments = self._arguments(item, stated, {**variables, "index": index})
            outputs = self._instance(item, arguments, (*outputs, *read[len(outputs) :]), f"{path}.{index}")
        return outputs

    def _arguments(self, item: Item, stated: Document, variables: Names) -> Document:
        return {name: value_of(stated.get(name, default), variables) for name, default in item.parameters.items()}

    def _instance(self, item: Item, arguments: Document, read: tuple[str, ...], path: str) -> tuple[str, ...]:
        names = dict(zip(item.inputs, read, strict=True))
        scalars = tuple((name, value) for name, value in arguments.items() if not isinstance(value, list | dict))
        self.scopes.append(Scope(path, item.stated["block"], scalars, tuple(names.items())))
        types = {name: self.values[value].type for name, value in names.items()}
        channels = {f"{name}.channels": type.features[0] for name, type in types.items() if type.rank == 4}
        self.add(item.within, names, f"{path}.", {**channels, **arguments})
        return tuple(names[output] for output in item.outputs)


def value_of(stated: Any, names: Names) -> Any:
    """Evaluate a value of a drawn spec: `${name}`, `${name + number}`, `${name > number}`, or a literal.

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
