"""Remove auxiliary heads, whose losses are added in training."""

from __future__ import annotations

from dataclasses import replace

from netspec.graph import Graph
from netspec.passes.remove_unused import drop
from netspec.passes.rewrite import Pass, Rewrite


def remove_heads(graph: Graph) -> Rewrite | None:
    """Remove the auxiliary outputs, and the nodes that only they depend on with their weights.

    Precondition: inference.
    """
    if not graph.heads:
        return None
    plain = replace(graph, outputs=graph.main, heads=())
    rewrite = drop(plain, [node for node in graph.nodes if node.name in graph.training_only])
    # If the auxiliary output is a node that a main output needs too, no node is removed.
    return replace(rewrite, changed=rewrite.changed or graph.auxiliary)


PASS = Pass("remove-heads", "heads that only training uses are removed", ("inference",), remove_heads)
