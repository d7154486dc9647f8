"""Take away dropout that does nothing at inference."""

from __future__ import annotations

from netspec.graph import Graph
from netspec.ops import Dropout
from netspec.passes.remove_identities import remove_nodes
from netspec.passes.rewrite import Pass, Rewrite


def remove_dropout(graph: Graph) -> Rewrite | None:
    """Readers of a dropout read what it reads.

    Precondition: inference, where the node multiplies by 1 (`inverted`, or a rate of 0), and it is no output.
    """
    idle = (node for node in graph.nodes if isinstance(node.op, Dropout) and node.op.inference_scale == 1.0)
    return remove_nodes(graph, idle)


PASS = Pass("remove-dropout", "dropout that is idle at inference is gone", ("inference",), remove_dropout)
