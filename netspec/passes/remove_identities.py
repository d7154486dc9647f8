"""Remove ops that return their input unchanged."""

from __future__ import annotations

from netspec.graph import Graph, Node
from netspec.ops import Flatten, Identity, Pad, Pad2d, Permute, Reshape
from netspec.passes.rewrite import Pass, Rewrite, remove_nodes


def remove_identities(graph: Graph) -> Rewrite | None:
    """Remove identities; their readers read their input instead.

    Precondition: the node returns its input unchanged, and is no output, whose name callers rely on.
    """
    return remove_nodes(graph, (node for node in graph.nodes if _is_identity(node)))


def _is_identity(node: Node) -> bool:
    match node.op:
        case Identity():
            return True
        case Flatten() | Reshape():
            return node.type == node.input_types[0]
        case Permute(axes=axes):
            return axes == tuple(sorted(axes))
        case Pad(start=start, end=end):
            return start == end == 0
        case Pad2d(padding=padding):
            return not padding
        case _:
            return False


PASS = Pass(
    "remove-identities",
    "ops that return their input unchanged are removed",
    ("training", "inference"),
    remove_identities,
)
