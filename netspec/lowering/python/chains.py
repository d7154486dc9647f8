"""Nodes in a row that one statement, or a few, can write together."""

from __future__ import annotations

from collections.abc import Callable

from netspec.graph import Graph, Node
from netspec.lowering.blocks.parts import Part


def chain_around(graph: Graph, part: Part, node: Node, belongs: Callable[[Node], bool]) -> tuple[Node, ...]:
    """The chain that a node belongs to, from its first node up to the one after this.

    In a chain each node is the member after the one before, and its only reader.

    Args:
        graph: the graph.
        part: the part that the node is a member of.
        node: the node.
        belongs: whether a node can belong to a chain.
    """
    members = part.members
    first = part.positions[id(node)]
    after = follower(graph, part, node, belongs)
    end = first + (1 if after is None else 2)
    while first and _is_link(graph, part, members[first - 1], members[first], belongs):
        first -= 1
    return tuple(member for member in members[first:end] if isinstance(member, Node))


def follower(graph: Graph, part: Part, node: Node, belongs: Callable[[Node], bool]) -> Node | None:
    """The node after this one in the chain that it belongs to; None if it is the last. See `chain_around`."""
    members = part.members
    index = part.positions[id(node)] + 1
    after = members[index] if index < len(members) else None
    return after if isinstance(after, Node) and _is_link(graph, part, node, after, belongs) else None


def _is_link(
    graph: Graph, part: Part, first: Node | Part, second: Node | Part, belongs: Callable[[Node], bool]
) -> bool:
    if not (isinstance(first, Node) and isinstance(second, Node) and belongs(first) and belongs(second)):
        return False
    is_output = first.name in graph.outputs or first.name in part.outputs
    return not is_output and graph.readers[first.name] == (second,)
