"""Which learned values need not be repeated for each sample."""

from __future__ import annotations

from netspec.graph import Graph, Node
from netspec.ops import Add, Multiply, Parameter


def broadcasts(graph: Graph, node: Node) -> bool:
    """Whether a `parameter` may stay one sample: all that read it add it to, or multiply it by, what is a batch.

    Of several parameters in one sum, whose first two might make another value of one sample, each is repeated.
    """
    return node.name not in graph.outputs and all(
        isinstance(reader.op, Add | Multiply) and sum(_is_parameter(graph, name) for name in reader.inputs) == 1
        for reader in graph.readers[node.name]
    )


def _is_parameter(graph: Graph, name: str) -> bool:
    value = graph.values[name]
    return isinstance(value, Node) and isinstance(value.op, Parameter)
