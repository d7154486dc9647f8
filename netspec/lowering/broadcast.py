"""Which values are the same for every sample and need not be repeated: learned ones, and what is made of them alone."""

from __future__ import annotations

from netspec.graph import Graph, Node
from netspec.ops import (
    Add,
    Divide,
    Multiply,
    Parameter,
    Permute,
    RegionMask,
    RelativePositionBias,
    Reshape,
    ScaledDotProductAttention,
    Subtract,
)
from netspec.ops.activation import Elementwise

# Of one value, and nothing in them knows how many samples there are.
_OF_ONE = (Permute, Reshape, RelativePositionBias, RegionMask, Elementwise)


def broadcasts(graph: Graph, node: Node) -> bool:
    """Whether a `parameter`, or what is made of one alone, may stay one sample: all that read it broadcast it.

    A sum or product does with what is a batch, and attention with a bias of a batch's scores; what is made of one
    sample alone is one sample itself, where its readers allow it. Of several such values in one sum, whose first two
    might make another value of one sample, each is repeated.
    """
    return (
        node.name not in graph.outputs
        and _is_one(graph, node.name)
        and all(_takes(graph, reader, node.name) for reader in graph.readers[node.name])
    )


def _takes(graph: Graph, reader: Node, name: str) -> bool:
    match reader.op:
        case Add() | Subtract() | Multiply() | Divide():
            return sum(_is_one(graph, value) for value in reader.inputs) == 1
        case ScaledDotProductAttention():
            return name not in reader.inputs[:3]
        case _:
            return isinstance(reader.op, _OF_ONE) and broadcasts(graph, reader)


def _is_one(graph: Graph, name: str) -> bool:
    """Whether a value is made of a `parameter` alone, by what leaves it one sample."""
    value = graph.values[name]
    if not isinstance(value, Node):
        return False
    return isinstance(value.op, Parameter) or (isinstance(value.op, _OF_ONE) and _is_one(graph, value.inputs[0]))
