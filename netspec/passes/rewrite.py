"""The interface of a pass and of its result, a `Rewrite`, and the rewriting steps that several passes share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, Protocol

from netspec.graph import Graph, Input, Node, make_node

if TYPE_CHECKING:
    from netspec.ops.base import Array

Level = Literal["none", "training", "inference"]


class Fold(Protocol):
    """A change of the weights that goes with a rewrite, computed in float64. It is data, so that it can be printed."""

    def apply(self, weights: dict[str, Array]) -> None:
        """Change a dict of weights by canonical name in place, without modifying its arrays."""


@dataclass(frozen=True, slots=True)
class Rewrite:
    """The result of a pass: a graph of the same function.

    Attributes:
        graph: the new graph. Its outputs keep their names.
        changed: the nodes that the pass removed or changed, by their old names.
        folds: the changes of the weights, in order.
        meaning: for each name that now stands for another value, the name that this value had before, or None if the
            value is new.
    """

    graph: Graph
    changed: tuple[str, ...]
    folds: tuple[Fold, ...] = ()
    meaning: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pass:
    """A pass over graphs.

    Attributes:
        name: its name in `netspec show --passes`.
        summary: its effect, in a line.
        levels: the optimization levels that include it.
        run: the function that rewrites a graph; it returns None if it changes nothing.
    """

    name: str
    summary: str
    levels: tuple[Level, ...]
    run: Callable[[Graph], Rewrite | None]


def rebuild(graph: Graph, nodes: Iterable[Node], renamed: Mapping[str, str] | None = None) -> Graph:
    """Return the graph with these nodes, in this order, whose inputs are replaced as `renamed` says.

    A node whose inputs have other names or types than before is created anew, and its type is inferred again.
    """
    renamed = renamed or {}
    values: dict[str, Input | Node] = {value.name: value for value in graph.inputs}
    for node in nodes:
        inputs = [values[renamed.get(name, name)] for name in node.inputs]
        if any(value.name != name for value, name in zip(inputs, node.inputs, strict=True)) or any(
            value.type != type for value, type in zip(inputs, node.input_types, strict=True)
        ):
            values[node.name] = replace(make_node(node.name, node.op, inputs), hints=node.hints)
        else:
            values[node.name] = node
    return replace(graph, nodes=tuple(value for value in values.values() if isinstance(value, Node)))


def remove_nodes(graph: Graph, nodes: Iterable[Node]) -> Rewrite | None:
    """Remove these nodes, except outputs; their readers read the first input of each instead."""
    renamed: dict[str, str] = {}
    for node in nodes:
        if node.name not in graph.outputs:
            renamed[node.name] = renamed.get(node.inputs[0], node.inputs[0])
    if not renamed:
        return None
    kept = [node for node in graph.nodes if node.name not in renamed]
    return Rewrite(rebuild(graph, kept, renamed), tuple(renamed))


def sole_reader(graph: Graph, name: str) -> Node | None:
    """Return the only reader of a value, if it reads it once and the value is no output; else None."""
    readers = graph.readers[name]
    if len(readers) != 1 or readers[0].inputs.count(name) != 1 or name in graph.outputs:
        return None
    return readers[0]
