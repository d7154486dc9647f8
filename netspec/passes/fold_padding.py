"""Let a convolution pad for itself."""

from __future__ import annotations

from netspec.graph import Graph, Node, make_node
from netspec.ops import Conv2d, Pad2d
from netspec.passes.rewrite import Pass, Rewrite, rebuild


def fold_padding(graph: Graph) -> Rewrite | None:
    """The zeros of a `pad2d` become padding of the convolutions that read it.

    Precondition: it pads with zeros, only convolutions read it, and it is no output.
    """
    renamed: dict[str, str] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        if _folds(graph, node):
            renamed[node.name] = node.inputs[0]
            continue
        pad = graph.values[node.inputs[0]] if node.inputs and node.inputs[0] in renamed else None
        nodes.append(_padded(graph, node, pad) if isinstance(pad, Node) else node)
    return Rewrite(rebuild(graph, nodes, renamed), tuple(renamed)) if renamed else None


def _folds(graph: Graph, node: Node) -> bool:
    if not isinstance(node.op, Pad2d) or node.op.mode != "constant" or node.op.value != 0.0:
        return False
    readers = graph.readers[node.name]
    return bool(readers) and node.name not in graph.outputs and all(isinstance(r.op, Conv2d) for r in readers)


def _padded(graph: Graph, node: Node, pad: Node) -> Node:
    """The convolution on what the padding reads."""
    if not isinstance(node.op, Conv2d) or not isinstance(pad.op, Pad2d):
        raise TypeError(f"expected a conv2d after a pad2d, received {node.op.kind} after {pad.op.kind}")
    op = node.op.model_copy(update={"padding": node.op.sides + pad.op.padding})
    return make_node(node.name, op, [graph.values[pad.inputs[0]]])


PASS = Pass("fold-padding", "convolutions pad for themselves", ("training", "inference"), fold_padding)
