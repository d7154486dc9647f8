"""Which values, the same for every sample, may keep a batch axis of size 1: parameters and functions of them."""

from __future__ import annotations

from collections.abc import Callable, Set

from netspec.graph import Graph, Node
from netspec.ops import (
    Concat,
    Dense,
    L2Normalize,
    LayerNorm,
    LayerScale,
    MatMul,
    Permute,
    RegionMask,
    RelativePositionBias,
    Reshape,
    RmsNorm,
    ScaledDotProductAttention,
    Slice,
    Softmax,
)
from netspec.ops.activation import Elementwise
from netspec.ops.dropout import Dropping
from netspec.ops.merge import Broadcasting
from netspec.ops.reduction import Reduction

# Ops whose lowerings do not depend on the batch size: of parameters alone, they compute a value of one sample.
OF_ONE = (
    *(Permute, Reshape, Slice, Concat, RelativePositionBias, RegionMask, Reduction),
    *(Elementwise, Broadcasting, MatMul, Dense, LayerScale, Softmax, LayerNorm, RmsNorm, L2Normalize),
)


def broadcastable_nodes(graph: Graph, part_of: Callable[[Node], object] = lambda _: None) -> frozenset[str]:
    """The nodes that may keep a batch axis of size 1, because every reader broadcasts them.

    Candidates are nodes without inputs, such as `parameter`, and functions of candidates alone; not dropout, which has
    a mask for each sample. Elementwise arithmetic and matrix products broadcast a candidate against a batch, and
    attention broadcasts a bias against its scores. If such an op reads several candidates beside a batch, each is
    repeated, for it might combine two of them first.

    Args:
        graph: the graph.
        part_of: the part of the network that a node is in. Values that parts hand to one another are always a batch.
    """
    constant: set[str] = set()  # the values that depend on no input
    for node in graph.nodes:
        of_one = isinstance(node.op, OF_ONE) and not isinstance(node.op, Dropping)
        if not node.inputs or (of_one and constant.issuperset(node.inputs)):
            constant.add(node.name)
    read = {node.name: node for node in graph.nodes if graph.readers[node.name] and node.name not in graph.outputs}
    candidates = {name: node for name, node in read.items() if name in constant}
    single, pending = {*candidates}, [*candidates.values()]
    while pending:
        node = pending.pop()
        readers = graph.readers[node.name]
        stays = single.issuperset(node.inputs) and all(
            part_of(reader) == part_of(node) and _broadcasts(reader, node.name, constant, single) for reader in readers
        )
        if node.name in single and not stays:
            single.discard(node.name)
            pending += [candidates[name] for name in (*node.inputs, *(r.name for r in readers)) if name in single]
    return frozenset(single)


def _broadcasts(reader: Node, name: str, constant: Set[str], single: Set[str]) -> bool:
    """Whether a reader accepts a value with a batch axis of size 1."""
    match reader.op:
        case _ if reader.name in single:
            return True
        case Broadcasting() | MatMul():
            return sum(value in constant for value in reader.inputs) == 1
        case ScaledDotProductAttention():
            return name not in reader.inputs[:3]
    return False
