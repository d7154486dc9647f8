"""Which values, the same for every sample, may keep a batch axis of size 1: parameters and functions of them."""

from __future__ import annotations

from collections.abc import Set

from netspec.graph import Graph, Node
from netspec.ops import (
    MatMul,
    Parameter,
    Permute,
    RegionMask,
    RelativePositionBias,
    Reshape,
    ScaledDotProductAttention,
)
from netspec.ops.activation import Elementwise
from netspec.ops.merge import Broadcasting

# Ops of one input whose lowerings do not depend on the batch size.
_UNARY = (Permute, Reshape, RelativePositionBias, RegionMask, Elementwise)


def broadcastable_nodes(graph: Graph) -> frozenset[str]:
    """The nodes that may keep a batch axis of size 1, because every reader broadcasts them.

    Candidates are `parameter` nodes and unary functions of them. Elementwise arithmetic and matrix products broadcast a
    candidate against a batch, and attention broadcasts a bias against its scores. A unary op on a candidate is a
    candidate too. If such an op reads several candidates, each is repeated, for it might combine two of them first.
    """
    constant: set[str] = set()  # the values that depend only on a parameter
    for node in graph.nodes:
        if isinstance(node.op, Parameter) or (isinstance(node.op, _UNARY) and node.inputs[0] in constant):
            constant.add(node.name)
    single: set[str] = set()
    for node in reversed(graph.nodes):
        if node.name in constant and node.name not in graph.outputs:
            readers = graph.readers[node.name]
            if all(_broadcasts(reader, node.name, constant, single) for reader in readers):
                single.add(node.name)
    return frozenset(single)


def _broadcasts(reader: Node, name: str, constant: Set[str], single: Set[str]) -> bool:
    """Whether a reader accepts a value with a batch axis of size 1."""
    match reader.op:
        case Broadcasting() | MatMul():
            return sum(value in constant for value in reader.inputs) == 1
        case ScaledDotProductAttention():
            return name not in reader.inputs[:3]
        case _:
            return reader.name in single
