"""Fold a `pad2d` with zeros into the padding of the convolutions after it."""

from __future__ import annotations

from collections.abc import Collection

from netspec.graph import Graph, Node, make_node
from netspec.ops import Conv2d, Pad2d
from netspec.ops.attributes import NO_PADDING, Padding
from netspec.passes.rewrite import Pass, Rewrite, rebuild


def fold_padding(graph: Graph) -> Rewrite | None:
    """Remove `pad2d` nodes, and add their zeros to the padding of the convolutions that read them.

    Precondition: a node pads with zeros, is no output, and has readers, which are all convolutions or other `pad2d`
    nodes that can be folded.
    """
    folding: dict[str, Pad2d] = {}
    for node in reversed(graph.nodes):
        if isinstance(node.op, Pad2d) and _folds(graph, node, folding):
            folding[node.name] = node.op
    if not folding:
        return None
    sources: dict[str, tuple[str, Padding]] = {}  # for each folded node: the unpadded value, and the sum of paddings
    nodes: list[Node] = []
    for node in graph.nodes:
        source, before = sources.get(node.inputs[0], (node.inputs[0], NO_PADDING)) if node.inputs else ("", NO_PADDING)
        if node.name in folding:
            sources[node.name] = source, before + folding[node.name].padding
        elif isinstance(node.op, Conv2d) and before:
            op = node.op.model_copy(update={"padding": node.op.explicit_padding + before})
            nodes.append(make_node(node.name, op, [graph.values[source]]))
        else:
            nodes.append(node)
    renamed = {name: source for name, (source, _) in sources.items()}
    return Rewrite(rebuild(graph, nodes, renamed), tuple(renamed))


def _folds(graph: Graph, node: Node, folding: Collection[str]) -> bool:
    """Whether a `pad2d` can be folded into its readers; `folding` are the later ones that can be."""
    if not isinstance(node.op, Pad2d) or node.op.mode != "constant" or node.op.value != 0.0:
        return False
    readers = graph.readers[node.name]
    foldable = all(isinstance(reader.op, Conv2d) or reader.name in folding for reader in readers)
    return bool(readers) and node.name not in graph.outputs and foldable


PASS = Pass(
    "fold-padding", "padding with zeros is part of the convolution after it", ("training", "inference"), fold_padding
)
