"""Which values are the same for every sample and need not be repeated: learned ones, and what is made of them alone."""

from __future__ import annotations

from collections.abc import Set

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


def of_one_sample(graph: Graph) -> frozenset[str]:
    """The nodes, each a `parameter` or made of one alone, that may stay one sample: all that read them broadcast them.

    A sum or product does with what is a batch, and attention with a bias of a batch's scores; what is made of one
    sample alone is one sample itself, where its readers allow it. Of several such values in one sum, whose first two
    might make another value of one sample, each is repeated.
    """
    made: set[str] = set()  # of a parameter alone
    for node in graph.nodes:
        if isinstance(node.op, Parameter) or (isinstance(node.op, _OF_ONE) and node.inputs[0] in made):
            made.add(node.name)
    stay: set[str] = set()
    for node in reversed(graph.nodes):
        if node.name in made and node.name not in graph.outputs:
            takes = (_takes(reader, node.name, made, stay) for reader in graph.readers[node.name])
            if all(takes):
                stay.add(node.name)
    return frozenset(stay)


def _takes(reader: Node, name: str, made: Set[str], stay: Set[str]) -> bool:
    match reader.op:
        case Add() | Subtract() | Multiply() | Divide():
            return sum(value in made for value in reader.inputs) == 1
        case ScaledDotProductAttention():
            return name not in reader.inputs[:3]
        case _:
            return reader.name in stay
