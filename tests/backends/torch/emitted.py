"""Helpers for tests of emitted PyTorch modules: their classes, their values, and graphs as passes leave them."""

from __future__ import annotations

import re
from dataclasses import replace

from netspec_torch import BACKEND

from netspec.graph import Graph, Input, Node, make_node
from tests.backends import values


def classes_of(graph: Graph) -> dict[str, str]:
    """Return the source of each emitted class, by its name."""
    source = str(BACKEND.lower(graph).content)
    classes = re.split(r"\n\n\nclass (?=\w+\(nn\.Module\))", source)[1:]
    return {text.partition("(")[0]: text for text in classes}


def check_values(graph: Graph) -> None:
    """Assert that the emitted model agrees with the reference."""
    values.check_values(graph, BACKEND)


def changed(graph: Graph, **nodes: Node | None) -> Graph:
    """Return the graph as a pass might leave it, with some nodes replaced, or removed if None. Types are inferred anew.

    Args:
        graph: the graph to change.
        nodes: the new nodes, by the names of the old ones with `_` in place of dots.
    """
    values: dict[str, Input | Node] = {value.name: value for value in graph.inputs}
    new_nodes = []
    for node in graph.nodes:
        new = nodes.get(node.name.replace(".", "_"), node)
        if new is None:
            values[node.name] = values[node.inputs[0]]
        else:
            values[node.name] = make_node(new.name, new.op, [values[name] for name in new.inputs])
            new_nodes.append(values[node.name])
    return replace(graph, nodes=tuple(node for node in new_nodes if isinstance(node, Node))).check()
