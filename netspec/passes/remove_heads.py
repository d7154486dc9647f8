"""Remove auxiliary heads, whose losses are added in training."""

from __future__ import annotations

from dataclasses import replace

from netspec.graph import Graph
from netspec.passes.remove_unused import Drop
from netspec.passes.rewrite import Fold, Pass, Rewrite, rebuild


def remove_heads(graph: Graph) -> Rewrite | None:
    """Remove the auxiliary outputs, and the nodes that only they depend on with their weights.

    Precondition: inference.
    """
    if not graph.heads:
        return None
    removed = [node for node in graph.nodes if node.name in graph.training_only]
    folds: tuple[Fold, ...] = tuple(Drop(f"{node.name}.{weight}") for node in removed for weight in node.weights)
    kept = rebuild(graph, [node for node in graph.nodes if node.name not in graph.training_only])
    # If the auxiliary output is a node that a main output needs too, no node is removed.
    changed = tuple(node.name for node in removed) or graph.auxiliary
    return Rewrite(replace(kept, outputs=graph.main, heads=()), changed, folds)


PASS = Pass("remove-heads", "heads that only training uses are removed", ("inference",), remove_heads)
