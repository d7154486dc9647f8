"""Find where a node can write its output over its input."""

from __future__ import annotations

from dataclasses import replace

from netspec.graph import Graph, Hint, Node
from netspec.ops import (
    Add,
    AvgPool2d,
    BatchNorm,
    Concat,
    Conv2d,
    ConvTranspose2d,
    Dense,
    GlobalAvgPool2d,
    GroupNorm,
    LayerNorm,
    LocalResponseNorm,
    MaxPool2d,
    Multiply,
    Relu,
    Relu6,
)
from netspec.passes.rewrite import Pass, Rewrite, sole_reader

WRITES_IN_PLACE = (Relu, Relu6, Add)
# Ops whose gradient does not need their output, and whose output is memory of its own. (A sigmoid's needs it, a
# flatten's output is its input's memory.)
FREE_TO_OVERWRITE = (
    Add,
    AvgPool2d,
    BatchNorm,
    Concat,
    Conv2d,
    ConvTranspose2d,
    Dense,
    GlobalAvgPool2d,
    GroupNorm,
    LayerNorm,
    LocalResponseNorm,
    MaxPool2d,
    Multiply,
)


def in_place(graph: Graph) -> Rewrite | None:
    """ReLUs and sums are marked that may write over the first value that they read.

    Precondition: nothing else reads that value and it is no output, it has the size of the result, and no gradient
    needs it: neither that of the op that made it nor that of the op that overwrites it.
    """
    marked = dict.fromkeys(node.name for node in graph.nodes if _may_overwrite(graph, node))
    if not marked:
        return None
    nodes = (replace(n, hints=n.hints | {Hint.IN_PLACE}) if n.name in marked else n for n in graph.nodes)
    return Rewrite(replace(graph, nodes=tuple(nodes)), tuple(marked))


def _may_overwrite(graph: Graph, node: Node) -> bool:
    if not isinstance(node.op, WRITES_IN_PLACE) or node.type != node.input_types[0]:
        return False
    made = graph.values[node.inputs[0]]
    return isinstance(made, Node) and isinstance(made.op, FREE_TO_OVERWRITE) and sole_reader(graph, made.name) is node


PASS = Pass("in-place", "activations and sums are written over what they read", ("training", "inference"), in_place)
