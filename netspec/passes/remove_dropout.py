"""Remove dropout, of elements or of samples, that does nothing at inference."""

from __future__ import annotations

from netspec.graph import Graph
from netspec.ops.dropout import Dropping
from netspec.passes.rewrite import Pass, Rewrite, remove_nodes


def remove_dropout(graph: Graph) -> Rewrite | None:
    """Remove dropout; its readers read its input instead.

    Precondition: inference. The dropout multiplies by 1 there (it is `inverted`, or its rate is 0), and is no output.
    """
    idle = (node for node in graph.nodes if isinstance(node.op, Dropping) and node.op.inference_scale == 1.0)
    return remove_nodes(graph, idle)


PASS = Pass("remove-dropout", "dropout that does nothing at inference is removed", ("inference",), remove_dropout)
