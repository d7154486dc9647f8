"""Nodes in a row that one statement, or a few, can write together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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

    def is_link(pair: Sequence[Node | Part]) -> bool:
        match pair:
            case Node() as first, Node() as second if belongs(first) and belongs(second):
                return first.name not in {*graph.outputs, *part.outputs} and graph.readers[first.name] == (second,)
            case _:
                return False

    first = next(index for index, member in enumerate(members) if member is node)
    end = first + 2 if is_link(members[first : first + 2]) else first + 1
    while first and is_link(members[first - 1 : first + 1]):
        first -= 1
    return tuple(member for member in members[first:end] if isinstance(member, Node))
