"""Mark nodes that can overwrite their input with their output."""

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
# Ops whose output is new memory that their gradient does not need. (The gradient of a sigmoid needs its output; the
# output of a flatten is a view of its input.)
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
    """Mark ReLUs and sums that can overwrite their first input with `Hint.IN_PLACE`.

    Precondition: the input has the type of the result, is no output, and has no other reader. No gradient needs it:
    neither that of the op that computed it, nor that of the op that overwrites it.
    """
    marked = dict.fromkeys(node.name for node in graph.nodes if _may_overwrite(graph, node))
    if not marked:
        return None
    nodes = (replace(n, hints=n.hints | {Hint.IN_PLACE}) if n.name in marked else n for n in graph.nodes)
    return Rewrite(replace(graph, nodes=tuple(nodes)), tuple(marked))


def _may_overwrite(graph: Graph, node: Node) -> bool:
    if not isinstance(node.op, WRITES_IN_PLACE) or node.type != node.input_types[0]:
        return False
    source = graph.values[node.inputs[0]]
    if not isinstance(source, Node) or not isinstance(source.op, FREE_TO_OVERWRITE):
        return False
    return sole_reader(graph, source.name) is node


PASS = Pass("in-place", "activations and sums overwrite their input", ("training", "inference"), in_place)
