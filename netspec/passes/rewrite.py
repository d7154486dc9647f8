"""The result of a pass: another graph of the same function, and where its weights come from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, Protocol

from netspec.graph import Graph, Input, Node, make_node

if TYPE_CHECKING:
    from netspec.ops.base import Array

Level = Literal["none", "training", "inference"]


class Fold(Protocol):
    """Weights of the rewritten graph made from those of the graph before, in float64; data, so that it can be shown."""

    def apply(self, weights: dict[str, Array]) -> None:
        """Change the dict in place: it holds weights by canonical name, and its arrays stay as they are."""


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A graph of the same function.

    Attributes:
        graph: the new one. Outputs keep their names.
        changed: the nodes that the pass removed or changed, by their old names.
        folds: changes to the weights, in this order.
        meaning: for each name that now stands for another value, the name that this value had before, or None for a
            new value.
    """

    graph: Graph
    changed: tuple[str, ...]
    folds: tuple[Fold, ...] = ()
    meaning: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pass:
    """A rewriting of graphs.

    Attributes:
        name: as `netspec show --passes` has it.
        summary: what it does, in a line.
        levels: the levels of optimization that include it.
        run: the pass; None where it changes nothing.
    """

    name: str
    summary: str
    levels: tuple[Level, ...]
    run: Callable[[Graph], Rewrite | None]


def rebuild(graph: Graph, nodes: Iterable[Node], renamed: Mapping[str, str] | None = None) -> Graph:
    """The graph with these nodes, in this order; they read what is `renamed` by its new name.

    A node whose inputs have other names or types than before is made anew, and so is its type.
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
    """The only reader of a value that is no output, if it reads it once; else None."""
    readers = graph.readers[name]
    if len(readers) != 1 or readers[0].inputs.count(name) != 1 or name in graph.outputs:
        return None
    return readers[0]
