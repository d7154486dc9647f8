"""Take away dropout, of elements or of samples, that does nothing at inference."""

from __future__ import annotations

from netspec.graph import Graph
from netspec.ops.dropout import Dropping
from netspec.passes.rewrite import Pass, Rewrite, remove_nodes


def remove_dropout(graph: Graph) -> Rewrite | None:
    """Readers of a dropout read what it reads.

    Precondition: inference, where the node multiplies by 1 (`inverted`, or a rate of 0), and it is no output.
    """
    idle = (node for node in graph.nodes if isinstance(node.op, Dropping) and node.op.inference_scale == 1.0)
    return remove_nodes(graph, idle)


PASS = Pass("remove-dropout", "dropout that is idle at inference is gone", ("inference",), remove_dropout)
